"""LFADS, SBTT-demo and Neural Latents Benchmark files, written here and read back."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from pydantic import TypeAdapter

from implant_sim.recordings import AnyRecording
from sbtt_models.errors import DataError

RNG = np.random.default_rng(0)


def write(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def load(root, **block):
    return TypeAdapter(AnyRecording).validate_python(block).load(root)


def test_sbtt_demo_layout(tmp_path):
    """NaN is a sample not taken; truth in spikes/ms, conversion factor 1 / 20 ms."""
    train = RNG.poisson(1.0, (6, 5, 3)).astype(float)
    valid = RNG.poisson(1.0, (4, 5, 3)).astype(float)
    train[2, 1, 0] = np.nan
    truth = RNG.uniform(0.01, 0.1, (6, 5, 3)), RNG.uniform(0.01, 0.1, (4, 5, 3))
    write(
        tmp_path / "d.h5", train_data=train, valid_data=valid, train_truth=truth[0],
        valid_truth=truth[1], conversion_factor=0.05,
    )  # fmt: skip
    block = {"kind": "lfads_h5", "path": "d.h5", "bin": "20 ms"}
    recording = load(tmp_path, **block, split={"reuse_valid": True})
    assert recording.counts.shape == (10, 5, 3)
    assert np.argwhere(~recording.available).tolist() == [[2, 1, 0]]
    assert np.allclose(recording.rates_hz, np.concatenate(truth) * 1000)
    assert recording.split.train.tolist() == list(range(6))
    assert recording.split.valid.tolist() == recording.split.test.tolist() == [6, 7, 8, 9]
    three = load(tmp_path, **block).split
    assert three.judged_once
    assert three.train.tolist() == list(range(6))
    given = load(tmp_path, **block, truth_unit="spikes/ms").rates_hz
    assert np.allclose(given, recording.rates_hz)


def test_lfads_torch_layout_reads_the_larger_tensor(tmp_path):
    recon = RNG.poisson(1.0, (6, 7, 5)), RNG.poisson(1.0, (4, 7, 5))
    write(
        tmp_path / "d.h5", train_encod_data=recon[0][:, :5, :3],
        valid_encod_data=recon[1][:, :5, :3],
        train_recon_data=recon[0], valid_recon_data=recon[1], train_behavior=np.ones((6, 7, 2)),
        valid_behavior=np.full((4, 7, 2), np.nan), train_inds=[0, 2, 4, 6, 8, 9],
        valid_inds=[1, 3, 5, 7],
    )  # fmt: skip
    recording = load(
        tmp_path, kind="lfads_h5", path="d.h5", bin="5 ms", behaviour={"unit": "mm/s"}
    )
    assert np.array_equal(recording.counts, np.concatenate(recon))
    assert recording.origin[:, 0].tolist() == [0, 2, 4, 6, 8, 9, 1, 3, 5, 7]
    assert recording.behaviour.valid[:6].all()
    assert not recording.behaviour.valid[6:].any()
    assert recording.rates_hz is None


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"train_data": np.ones((3, 4, 2))}, r"d.h5: no data set 'valid_recon_data'.*train_data"),
        ({"other": np.ones(3)}, "no data set 'train_recon_data'.*holds: other"),
        ({"train_data": np.ones((3, 4))}, "trial, bin and channel.*got shape"),
        ({"train_data": np.full((3, 4, 2), 0.5)}, "train_data: .*fractional"),
        (
            {"train_data": np.ones((3, 4, 2)), "valid_data": np.ones((3, 4, 1))},
            "1 channels, the first has 2",
        ),
        (
            {"train_data": np.ones((3, 4, 2)), "train_truth": np.ones((3, 4, 2))},
            "no conversion_factor.*truth_unit",
        ),
    ],
)
def test_wrong_lfads_files(tmp_path, arrays, says):
    write(tmp_path / "d.h5", **arrays)
    with pytest.raises(DataError, match=says):
        load(tmp_path, kind="lfads_h5", path="d.h5", bin="20 ms")


def nlb(root):
    arrays = {
        "train_spikes_heldin": RNG.poisson(1.0, (10, 6, 3)).astype(float),
        "train_spikes_heldout": RNG.poisson(1.0, (10, 6, 2)).astype(float),
        "eval_spikes_heldin": RNG.poisson(1.0, (4, 6, 3)).astype(float),
    }
    target = {
        "mc_maze_20/eval_spikes_heldout": RNG.poisson(1.0, (4, 6, 2)).astype(float),
        "mc_maze_20/train_behavior": RNG.normal(size=(10, 6, 2)),
        "mc_maze_20/eval_behavior": RNG.normal(size=(4, 6, 2)),
        "mc_maze_20/eval_decode_mask": np.array([[True], [True], [False], [True]]),
    }
    arrays["eval_spikes_heldin"][1, 4:] = np.nan  # bins that do not exist
    write(root / "in.h5", **arrays)
    write(root / "target.h5", **target)
    return arrays, target


def test_nlb_two_files(tmp_path):
    arrays, target = nlb(tmp_path)
    recording = load(
        tmp_path, kind="nlb", path="in.h5", target_path="target.h5", group="mc_maze_20",
        bin="20 ms", behaviour={"name": "hand velocity", "unit": "mm/s"},
    )  # fmt: skip
    assert recording.counts.shape == (14, 6, 5)
    assert np.array_equal(recording.counts[:10, :, :3], arrays["train_spikes_heldin"])
    assert np.array_equal(recording.counts[10:, :, 3:], target["mc_maze_20/eval_spikes_heldout"])
    assert recording.split.test.tolist() == [10, 11, 12, 13]
    assert recording.split.train.size + recording.split.valid.size == 10
    missing = np.zeros((14, 6, 5), bool)
    missing[11, 4:, :3] = True
    assert np.array_equal(~recording.available, missing)
    assert recording.behaviour.valid[10:].all(axis=1).tolist() == [True, True, False, True]
    assert np.allclose(recording.behaviour.values[10], target["mc_maze_20/eval_behavior"][0])
    assert len(recording.sources) == 2


def test_nlb_secret_heldout_is_unobserved(tmp_path):
    nlb(tmp_path)
    recording = load(tmp_path, kind="nlb", path="in.h5", bin="20 ms")
    assert recording.n_channels == 5
    assert recording.available[:10].all()
    assert not recording.available[10:, :, 3:].any()
    assert load(tmp_path, kind="nlb", path="in.h5", bin="20 ms", heldout=False).n_channels == 3
