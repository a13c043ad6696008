"""Every recording at hand loads from a few lines of YAML, and says what its sidecar says."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter

from implant_sim.recordings import AnyRecording
from implant_sim.recordings.lorenz import LorenzSource
from sbtt_models.errors import DataError
from sbtt_models.signals import Recording
from tests.recordings.blocks import BLOCKS

pytestmark = pytest.mark.data


@pytest.fixture
def loaded(data_dir):
    """Load one block by its name."""

    def load(name: str) -> Recording:
        source = TypeAdapter(AnyRecording).validate_python(yaml.safe_load(BLOCKS[name]))
        return source.load(data_dir)

    return load


# trials, longest, channels, silent channels
EXPECTED = {
    "chewie_full": (159, 14, 174, 11),
    "chewie_moving": (159, 19, 174, 13),
    "bci": (1252, 173, 96, 0),
    "reach20": (212, 35, 24, 0),
    "lorenz": (1560, 50, 29, 0),
}


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_loads_whole_and_split(loaded, name):
    recording = loaded(name)
    parts = [recording.split.train, recording.split.valid, recording.split.test]
    used = np.unique(np.concatenate(parts))
    assert used.tolist() == list(range(len(recording.counts)))  # nothing lost, nothing unused
    assert recording.split.judged_once == (name != "lorenz")
    assert recording.counts.sum() > 0
    assert recording.sources[0].split()[1].startswith("sha256:")
    assert "/" not in recording.sources[0]  # a name, not a path of this machine
    assert len(recording.origin) == len(recording.counts)
    outside = ~recording.available
    assert not recording.counts[outside].any()
    if recording.behaviour is not None:
        assert np.isfinite(recording.behaviour.values).all()
        assert (
            not recording.behaviour.valid[np.arange(len(outside)), -1].all()
            or (recording.lengths == recording.counts.shape[1]).all()
        )


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_trials_are_as_the_sidecar_says(loaded, name):
    recording = loaded(name)
    found = (*recording.counts.shape, len(recording.silent_channels))
    assert found == EXPECTED[name]


def test_m1_keeps_every_spike_outside_the_gaps(loaded, data_dir):
    recording = loaded("m1")
    with h5py.File(data_dir / "m1_reach_public.h5") as file:
        counts, velocity = file["spikes/counts"][:], file["behavior/hand_vel"][:]
    assert recording.window_bins == 40
    last = 0
    for trial, (_, first) in enumerate(recording.origin):
        length = recording.lengths[trial]
        assert (recording.counts[trial, :length] == counts[first : first + length]).all()
        moved = recording.behaviour.values[trial, :length]
        assert np.array_equal(moved, velocity[first : first + length])
        assert last == 0 or first - last == 50  # one window of 2 s and 0.5 s
        last = first + length
    assert last == len(counts)


def test_chewie_leaves_skipped_bins_unobserved(loaded, data_dir):
    recording = loaded("chewie_moving")
    with h5py.File(data_dir / "m1pmd_chewie_public.h5") as file:
        group = file["chewie_20131003_50ms_thr5"]
        steps = group["timestep"][group["trial"][:] == 1]
        counts = group["spikes/counts"][group["trial"][:] == 1]
    assert steps.tolist() == [*range(1, 12), 15]
    assert recording.lengths[1] == 15
    assert not recording.available[1, 11:14].any()
    assert not recording.behaviour.valid[1, 11:14].any()
    assert (recording.counts[1, [*range(11), 14]] == counts).all()
    gaps = (~recording.available).any(axis=2).sum(axis=1) - (19 - recording.lengths)
    assert (gaps > 0).sum() == 13


def test_bci_decodes_the_intended_direction(loaded, data_dir):
    recording = loaded("bci")
    inside = np.arange(173) < recording.lengths[:, None]
    assert (inside & ~recording.behaviour.valid).sum() == 1252  # one NaN bin in each trial
    assert np.allclose(
        np.linalg.norm(recording.behaviour.values, axis=2), recording.behaviour.valid
    )
    with h5py.File(data_dir / "bci_m1_degenhart_public.h5") as file:
        start = file["trials/start"][7]
        way = file["trials/target_pos"][7] - file["behavior/cursor_pos"][start + 3]
    assert np.allclose(recording.behaviour.values[7, 3], way / np.hypot(*way))


def test_s1_segments_stay_pieces(loaded):
    recording = loaded("s1")
    assert len(recording.counts) == 420  # 418 segments, two of them cut by a boundary
    assert recording.lengths.sum() == 35129 - 2 * 50
    assert len(np.unique(recording.origin[:, 0])) == 418


@pytest.mark.parametrize(
    ("name", "group"), [("linear_track", "linear_track"), ("w_maze", "w_maze")]
)
def test_hippocampus_counts_are_a_histogram(loaded, data_dir, name, group):
    recording = loaded(group)
    with h5py.File(data_dir / "hippocampus_public.h5") as file:
        ticks, units = file[f"{group}/spikes/tick"][:], file[f"{group}/spikes/unit"][:]
        clock = file[f"{group}/behavior/tick"][:]
        position = file[f"{group}/behavior/pos"][:].astype(float)
    begin = recording.origin[2, 1]
    edges = clock[0] + 600 * (begin + np.arange(recording.lengths[2] + 1))  # 20 ms at 30 kHz
    channel = 5
    expected = np.histogram(ticks[units == channel], edges)[0]
    expected[-1] -= ((ticks == edges[-1]) & (units == channel)).sum()  # numpy closes the last bin
    assert (recording.counts[2, : len(expected), channel] == expected).all()
    middle = (edges[:-1] + edges[1:]) / 2
    at_middle = np.interp(
        middle, *(a[np.unique(clock, return_index=True)[1]] for a in (clock, position[:, 0]))
    )
    off = np.abs(recording.behaviour.values[2, : len(middle), 0] - at_middle)
    assert np.quantile(off, 0.99) < 3  # pixels: a mean over 20 ms against a point


def test_w_maze_drops_the_noise_unit(loaded):
    assert loaded("w_maze").n_channels == 24


def test_zebrafish_says_which_neurons_were_not_recorded(loaded):
    recording = loaded("zebrafish")
    never = np.flatnonzero(~recording.available.any(axis=(0, 1)))
    assert never.tolist() == [60, 348]
    assert recording.counts.max() == 1


def test_zebrafish_without_a_rule_is_refused(data_dir):
    block = yaml.safe_load(BLOCKS["zebrafish"])
    del block["fluorescence"]
    with pytest.raises(DataError, match=r"fractional.*fluorescence"):
        TypeAdapter(AnyRecording).validate_python(block).load(data_dir)


def test_gcamp8_spikes_end_with_the_fluorescence(data_dir):
    block = yaml.safe_load(BLOCKS["gcamp8"])
    block |= {"group": "GCaMP8m/jGCaMP8m_472180_5_r0", "split": {}}
    recording = TypeAdapter(AnyRecording).validate_python(block).load(data_dir)
    # spikes run to 407 s, the fluorescence to 160.04 s
    assert recording.origin[-1, 1] + recording.lengths[-1] == 16003


def test_lorenz_file_equals_the_generator(loaded):
    read = loaded("lorenz")
    made = LorenzSource(variant="demo", seed=5).load(Path())
    assert np.array_equal(read.counts, made.counts)
    assert np.allclose(read.rates_hz, made.rates_hz, rtol=1e-6)
    assert np.allclose(read.expected, made.expected, atol=1e-6)
    for part in ("train", "valid", "test"):
        assert np.array_equal(getattr(read.split, part), getattr(made.split, part))
    assert np.array_equal(read.condition, made.condition)
