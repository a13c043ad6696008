"""One small recording, written in many ways, reads the same."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.io
from pydantic import TypeAdapter, ValidationError

from implant_sim.hardware.acquire import acquire
from implant_sim.hardware.schedules.full import Full
from implant_sim.recordings import AnyRecording
from sbtt_models.errors import DataError
from tests.hardware import hw

RNG = np.random.default_rng(0)
LENGTHS = np.array([4, 6, 5, 6, 4, 6, 5, 4])
ROWS = int(LENGTHS.sum())
STARTS = np.cumsum(LENGTHS) - LENGTHS
COUNTS = RNG.poisson(1.0, (ROWS, 3)).astype(np.uint8)
VELOCITY = RNG.normal(size=(ROWS, 2))
TARGET = RNG.normal(size=(8, 2))
CONDITION = np.array([0, 1, 0, 1, 0, 1, 0, 1])
LABELS = np.repeat(np.arange(10, 18), LENGTHS)
BASE = {
    "counts": COUNTS, "vel": VELOCITY, "target": TARGET, "cond": CONDITION, "label": LABELS,
    "start": STARTS, "len": LENGTHS, "bin_s": np.float64(0.05),
    "seg": np.stack([STARTS, STARTS + LENGTHS], axis=1),
}  # fmt: skip
MOVED = {"name": "velocity", "data": "vel", "unit": "m/s"}


def load(root, **block):
    return TypeAdapter(AnyRecording).validate_python(block).load(root)


def write_h5(path, arrays, group=""):
    with h5py.File(path, "a") as file:
        for name, array in arrays.items():
            file[f"{group}/{name}".strip("/")] = array
    return path


@pytest.fixture
def h5(tmp_path):
    write_h5(tmp_path / "a.h5", BASE)
    return tmp_path


def check_trials(recording):
    assert recording.lengths.tolist() == LENGTHS.tolist()
    for i, (start, length) in enumerate(zip(STARTS, LENGTHS, strict=True)):
        assert np.array_equal(recording.counts[i, :length], COUNTS[start : start + length])
        if recording.behaviour is not None:
            moved = recording.behaviour.values[i, :length]
            assert np.allclose(moved, VELOCITY[start : start + length])
    assert recording.origin[:, 0].tolist() == list(range(8))
    assert recording.window_bins is None


@pytest.mark.parametrize("way", [{"trial": "label"}, {"start": "start", "length": "len"}])
@pytest.mark.parametrize("kind", ["hdf5", "npz", "mat", "mat73"])
def test_trials_read_the_same(tmp_path, kind, way):
    if kind == "npz":
        np.savez(tmp_path / "a", **BASE)
    elif kind == "mat":
        scipy.io.savemat(tmp_path / "a.mat", BASE)
    elif kind == "mat73":
        turned = {name: np.atleast_2d(np.asarray(a)).T for name, a in BASE.items()}
        write_h5(tmp_path / "a.mat", turned)
    else:
        write_h5(tmp_path / "a.hdf5", BASE)
    kind, suffix = kind.removesuffix("73"), kind.removesuffix("73")
    recording = load(
        tmp_path, kind=kind, path=f"a.{suffix}", counts="counts", bin="bin_s", condition="cond",
        behaviour=MOVED, **way,
    )  # fmt: skip
    check_trials(recording)
    assert recording.bin_s == 0.05
    assert recording.condition.tolist() == CONDITION.tolist()


def test_trial_axis_with_lengths(tmp_path):
    padded = np.zeros((8, 6, 3), np.int64)
    moved = np.full((8, 6, 2), np.nan)
    for i, (start, length) in enumerate(zip(STARTS, LENGTHS, strict=True)):
        padded[i, :length] = COUNTS[start : start + length]
        moved[i, :length] = VELOCITY[start : start + length]
    write_h5(tmp_path / "a.h5", {"c": padded, "v": moved, "n": LENGTHS})
    moved = {"data": "v", "unit": "m/s"}
    block = {"kind": "hdf5", "path": "a.h5", "counts": "c", "bin": 0.05, "behaviour": moved}
    check_trials(load(tmp_path, **block, length="n"))
    assert load(tmp_path, **block).lengths.tolist() == [6] * 8


def test_axes_in_any_order(h5):
    write_h5(h5 / "a.h5", {"turned": COUNTS.T, "vturned": VELOCITY.T})
    moved = {"data": "vturned", "unit": "m/s", "axes": ["dim", "bin"]}
    block = {"kind": "hdf5", "path": "a.h5", "counts": "turned", "bin": 0.05, "trial": "label"}
    check_trials(load(h5, **block, axes=["channel", "bin"], behaviour=moved))


def test_matlab_structs_and_cells(tmp_path):
    trials = np.empty((1, 8), object)
    for i, (start, length) in enumerate(zip(STARTS, LENGTHS, strict=True)):
        trials[0, i] = COUNTS[start : start + length].T.astype(float)  # channel x bin
    scipy.io.savemat(tmp_path / "a.mat", {"s": {"spikes": trials, "cond": CONDITION}})
    recording = load(
        tmp_path, kind="mat", path="a.mat", group="s", counts="spikes", axes=["channel", "bin"],
        bin="50 ms", start="spikes/start", length="spikes/length", condition="cond",
    )  # fmt: skip
    check_trials(recording)


def test_matlab_struct_array_and_v73_cells(tmp_path):
    cells = [COUNTS[a : a + n] for a, n in zip(STARTS, LENGTHS, strict=True)]
    struct = np.empty((8, 1), dtype=[("spikes", object), ("target", object)])
    for i, cell in enumerate(cells):
        struct[i, 0] = (cell, CONDITION[i])
    scipy.io.savemat(tmp_path / "old.mat", {"trial": struct})
    with h5py.File(tmp_path / "new.mat", "w") as file:
        made = [file.create_dataset(f"#refs#/c{i}", data=cell.T) for i, cell in enumerate(cells)]
        refs = np.array([[d.ref] for d in made], dtype=h5py.ref_dtype)
        file.create_dataset("trial/spikes", data=refs, dtype=h5py.ref_dtype)
        file["trial/target"] = CONDITION[None].astype(float)
    for name in ("old.mat", "new.mat"):
        recording = load(
            tmp_path, kind="mat", path=name, group="trial", counts="spikes", bin="50 ms",
            start="spikes/start", length="spikes/length", condition="target",
        )  # fmt: skip
        check_trials(recording)
        assert recording.condition.tolist() == CONDITION.tolist()


def test_difference_of_trial_and_bin(h5):
    block = {"kind": "hdf5", "path": "a.h5", "counts": "counts", "bin": "50 ms", "trial": "label"}
    moved = {"data": "target", "minus": "vel", "unit": "m", "direction": False}
    values = load(h5, **block, behaviour=moved).behaviour.values
    assert np.allclose(values[1, 2], TARGET[1] - VELOCITY[STARTS[1] + 2])
    unit = load(h5, **block, behaviour=moved | {"direction": True}).behaviour.values
    assert np.allclose(unit[1, 2], values[1, 2] / np.hypot(*values[1, 2]))


def test_segments_are_one_continuous_recording(tmp_path):
    counts = RNG.poisson(1.0, (1000, 2))
    table = np.array([[0, 300], [310, 700], [700, 990]])
    write_h5(tmp_path / "a.h5", {"c": counts, "seg": table})
    block = {"kind": "hdf5", "path": "a.h5", "counts": "c", "bin": "10 ms", "window": "0.5 s"}
    recording = load(tmp_path, **block, segments="seg")
    assert recording.window_bins == 50
    assert recording.lengths.sum() == 980 - 2 * 100
    for trial, (piece, first) in enumerate(recording.origin):
        begin = table[piece, 0] + first
        length = recording.lengths[trial]
        assert begin + length <= table[piece, 1]
        assert np.array_equal(recording.counts[trial, :length], counts[begin : begin + length])


def test_missing_only_where_declared(tmp_path):
    counts = np.ones((12, 4, 2))
    counts[3, 1, 0] = np.nan
    negative = np.where(np.isnan(counts), -1, counts).astype(int)
    write_h5(tmp_path / "a.h5", {"nan": counts, "neg": negative})
    for name, mark in (("nan", "nan"), ("neg", "negative")):
        block = {"kind": "hdf5", "path": "a.h5", "counts": name, "bin": 0.01}
        recording = load(tmp_path, **block, missing=mark)
        assert np.argwhere(~recording.available).tolist() == [[3, 1, 0]]
        assert recording.counts[3, 1, 0] == 0
        with pytest.raises(DataError, match=rf"a.h5: {name}: .*first at \(13, 0\)"):
            load(tmp_path, **block)


def test_timestep_gaps_are_unobserved(h5):
    steps = np.concatenate([np.arange(n) for n in LENGTHS])
    steps[STARTS[2] + 3 : STARTS[2] + 5] += 2  # trial 2: bins 0 1 2 5 6
    write_h5(h5 / "a.h5", {"step": steps})
    recording = load(
        h5, kind="hdf5", path="a.h5", counts="counts", bin=0.05, trial="label", timestep="step",
        behaviour=MOVED,
    )  # fmt: skip
    assert recording.lengths[2] == 7
    assert recording.available[2].all(axis=1).tolist() == [True] * 3 + [False] * 2 + [True] * 2
    assert recording.behaviour.valid[2].tolist() == [True] * 3 + [False] * 2 + [True] * 2
    assert np.array_equal(recording.counts[2, 5], COUNTS[STARTS[2] + 3])


def test_truth_by_condition_and_unit(tmp_path):
    counts = RNG.poisson(1.0, (8, 5, 2))
    rates = RNG.uniform(0, 1, (2, 5, 2))
    write_h5(tmp_path / "a.h5", {"c": counts, "r": rates, "k": CONDITION})
    block = {"kind": "hdf5", "path": "a.h5", "counts": "c", "bin": "20 ms", "condition": "k"}
    for unit, factor in (("spikes/ms", 1000), ("Hz", 1), ("spikes/bin", 50)):
        recording = load(tmp_path, **block, truth={"rates": "r", "unit": unit})
        assert np.allclose(recording.rates_hz, rates[CONDITION] * factor)
        assert recording.expected is None


def test_is_train_then_valid_and_test(h5):
    write_h5(h5 / "a.h5", {"tr": CONDITION == 0})
    block = {"kind": "hdf5", "path": "a.h5", "counts": "counts", "bin": 0.05, "trial": "label"}
    split = load(h5, **block, split={"is_train": "tr"}).split
    assert split.train.tolist() == [0, 2, 4, 6]
    assert split.judged_once
    assert sorted([*split.valid, *split.test]) == [1, 3, 5, 7]
    again = load(h5, **block, split={"is_train": "tr", "reuse_valid": True}).split
    assert again.valid.tolist() == again.test.tolist() == [1, 3, 5, 7]


def test_keep_and_channels(h5):
    write_h5(h5 / "a.h5", {"good": np.array([2, 0])})
    block = {"kind": "hdf5", "path": "a.h5", "counts": "counts", "bin": 0.05, "trial": "label"}
    recording = load(h5, **block, keep={"cond": [1]}, channels="good")
    assert recording.origin[:, 0].tolist() == [1, 3, 5, 7]
    first = COUNTS[STARTS[1] : STARTS[1] + 6][:, [2, 0]]
    assert np.array_equal(recording.counts[0, :6], first)
    assert load(h5, **block, drop=[1]).n_channels == 2


def test_groups_in_natural_order(tmp_path):
    for n in (10, 2, 1):
        write_h5(tmp_path / "a.h5", {"c": np.full((5, 1), n)}, f"trial_{n}")
    recording = load(
        tmp_path, kind="hdf5", path="a.h5", group="trial_*", counts="c", bin=0.1,
        split={"by": "trials"},
    )  # fmt: skip
    assert recording.counts[:, 0, 0].tolist() == [1, 2, 10]


def test_events_with_trials(tmp_path):
    """Three trials of 0.3 s from 1, 2 and 3 s; spikes at known places; a position on a line."""
    times = np.array([3.25, 1.0, 1.05, 1.1, 2.299, 2.3, 0.99])
    units = np.array([1, 0, 0, 1, 1, 1, 0])
    write_h5(tmp_path / "a.h5", {
        "t": (times * 1000).round().astype(int), "u": units, "on": [1000, 2000, 3000],
        "dur": [300, 300, 300], "bt": np.arange(0, 5000, 10), "x": np.arange(0, 5000, 10) / 1e3,
    })  # fmt: skip
    recording = load(
        tmp_path, kind="hdf5", path="a.h5", bin="100 ms", start="on", length="dur",
        events={"time": "t", "unit": "u", "clock": "1 kHz"},
        behaviour={"data": "x", "time": "bt", "unit": "m"},
    )  # fmt: skip
    assert recording.counts.tolist() == [
        [[2, 0], [0, 1], [0, 0]],
        [[0, 0], [0, 0], [0, 1]],
        [[0, 0], [0, 0], [0, 1]],
    ]
    middles = np.array([[0], [1], [2]]) + np.array([1.05, 1.15, 1.25])
    assert np.allclose(recording.behaviour.values[:, :, 0], middles)
    assert recording.window_bins is None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"counts": None}, "either `counts` or `events`"),
        ({"trial": "label", "segments": "seg"}, "one of segments, trial"),
        ({"start": "start"}, "`start` needs either `length` or `stop`"),
        ({"bin": "50 mV"}, "wrong dimension"),
        ({"bin": "-1 ms"}, "between 0 and 10 s"),
        ({"behaviour": {"data": "vel", "unit": "m", "time": "t"}}, "goes with `events`"),
        ({"truth": {"unit": "Hz"}}, "neither"),
        ({"count": "counts"}, "Extra inputs"),
    ],
)
def test_faults_of_a_block(fields, says):
    block = {"kind": "hdf5", "path": "a.h5", "counts": "counts", "bin": 0.05} | fields
    with pytest.raises(ValidationError, match=says):
        TypeAdapter(AnyRecording).validate_python(block)


@pytest.mark.parametrize("name", ["vel", "target"])
def test_external_inputs_are_read_cut_and_reach_the_stream(h5, name):
    block = {"kind": "hdf5", "path": "a.h5", "counts": "counts", "bin": "bin_s", "trial": "label"}
    recording = load(h5, **block, external={"data": name, "columns": [1, 0]})
    assert recording.external.dtype == np.float32
    for i, (start, length) in enumerate(zip(STARTS, LENGTHS, strict=True)):
        wanted = VELOCITY[start : start + length] if name == "vel" else TARGET[i][None]
        assert np.allclose(recording.external[i, :length], wanted[:, ::-1], atol=1e-6)
        assert (recording.external[i, length:] == 0).all()
    stream, _ = acquire(recording, hw.implant(), Full(), np.random.default_rng(0))
    assert np.array_equal(stream.external, recording.external)
    assert np.array_equal(recording.select_channels(np.array([1])).external, recording.external)


def test_external_inputs_must_be_known_everywhere(h5):
    gap = VELOCITY.copy()
    gap[3, 0] = np.nan
    write_h5(h5 / "a.h5", {"gap": gap})
    block = {"kind": "hdf5", "path": "a.h5", "counts": "counts", "bin": "bin_s", "trial": "label"}
    with pytest.raises(DataError, match=r"a\.h5: gap: 1 external inputs are NaN or infinite"):
        load(h5, **block, external={"data": "gap"})


def _read(root, arrays, **block):
    path = root / f"{len(list(root.iterdir()))}.h5"
    write_h5(path, arrays)
    return load(root, kind="hdf5", path=path.name, counts="counts", bin="50 ms", **block)


def test_trials_and_conditions_may_be_called_by_text_or_fractions(tmp_path):
    names = np.array([b"b", b"a", b"b", b"c"])
    counts = np.arange(80).reshape(4, 5, 4)
    by_axis = _read(
        tmp_path, {"counts": counts, "angle": np.array([22.5, 0.0, 22.5, 45.0])}, condition="angle"
    )
    assert by_axis.condition.tolist() == [1, 0, 1, 2]
    flat = {"counts": counts.reshape(20, 4), "label": np.repeat([b"t1", b"t2", b"t3", b"t4"], 5)}
    by_text = _read(
        tmp_path, flat | {"side": np.repeat(names, 5)}, trial="label", condition="side"
    )
    assert by_text.condition.tolist() == [1, 0, 1, 2]
    assert (by_text.counts == counts).all()


def test_the_same_condition_has_the_same_number_in_every_group(tmp_path):
    counts = np.ones((5, 2), int)
    sides = {"g1": b"left", "g2": b"right", "g3": b"left", "g4": b"up"}
    arrays = {f"{g}/counts": counts for g in sides}
    arrays |= {f"{g}/side": np.array([side]) for g, side in sides.items()}
    found = _read(tmp_path, arrays, group="g*", condition="side", split={"by": "trials"})
    assert found.condition.tolist() == [0, 1, 0, 2]
