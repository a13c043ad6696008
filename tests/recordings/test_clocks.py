"""The same spikes on the clocks and in the layouts of other programs read the same."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.io
from pydantic import TypeAdapter, ValidationError

from implant_sim.recordings import AnyRecording
from sbtt_models.errors import DataError

RNG = np.random.default_rng(3)
TICK_HZ = 30_000
N_UNITS = 4  # the third is silent
TICKS = np.sort(RNG.integers(0, 20 * TICK_HZ, 500))
UNITS = RNG.choice([0, 1, 3], 500)
START_S = np.arange(1.0, 17.0, 2.0)
STOP_S = START_S + RNG.uniform(0.6, 1.9, 8)
SAMPLE_S = np.arange(0, 20, 0.01)
MOVED = np.stack([np.sin(SAMPLE_S), np.cos(SAMPLE_S)], axis=1)
BY_UNIT = [TICKS[u == UNITS] for u in range(N_UNITS)]
BASE = {
    "tick": TICKS, "unit": UNITS, "label": 10 * UNITS + 7, "v": MOVED, "t": SAMPLE_S,
    "start": START_S, "stop": STOP_S, "last": STOP_S - START_S,
    "start_tick": np.rint(START_S * TICK_HZ).astype(np.int64),
    "stop_tick": np.rint(STOP_S * TICK_HZ).astype(np.int64),
    "in_turn": np.concatenate(BY_UNIT), "how_many": np.array([len(t) for t in BY_UNIT]),
}  # fmt: skip
EVENTS = {
    "time": "tick",
    "unit": "unit",
    "n_channels": 4,
    "clock": "30 kHz",
    "trial_clock": "1 Hz",
}
CUT = {"bin": "20 ms", "start": "start", "stop": "stop"}
BEHAVIOUR = {"data": "v", "time": "t", "unit": "m/s", "clock": "1 Hz"}


def load(root, events=EVENTS, behaviour=BEHAVIOUR, kind="npz", path="a.npz", **block):
    given = {"kind": kind, "path": path, "events": events, **CUT, "behaviour": behaviour, **block}
    return TypeAdapter(AnyRecording).validate_python(given).load(root)


@pytest.fixture
def root(tmp_path):
    np.savez(tmp_path / "a", **BASE)
    return tmp_path


def test_bins_hold_the_spikes_of_their_trial(root):
    recording = load(root)
    assert recording.counts.shape[2] == N_UNITS
    for i, start in enumerate(START_S):
        edges = start + 0.02 * np.arange(recording.lengths[i] + 1)
        assert edges[-1] <= STOP_S[i] + 1e-9 < edges[-1] + 0.02
        for unit, ticks in enumerate(BY_UNIT):
            slow, _ = np.histogram(ticks / TICK_HZ, edges)
            assert np.array_equal(recording.counts[i, : len(slow), unit], slow)
        middle = (edges[1:] + edges[:-1]) / 2
        assert np.allclose(
            recording.behaviour.values[i, : len(middle), 0], np.sin(middle), atol=1e-3
        )


@pytest.mark.parametrize(
    ("events", "block"),
    [
        ({"time": "in_turn", "per_unit": "how_many", "clock": "30 kHz", "trial_clock": 1}, {}),
        ({**EVENTS, "trial_clock": None}, {"start": "start_tick", "stop": "stop_tick"}),
        (EVENTS, {"stop": None, "length": "last"}),
    ],
)
def test_other_layouts_read_the_same(root, events, block):
    one, other = load(root), load(root, events, **block)
    assert np.array_equal(one.lengths, other.lengths)
    assert np.array_equal(one.counts, other.counts)
    assert np.array_equal(one.behaviour.values, other.behaviour.values, equal_nan=True)


def test_labels_of_a_sorter_are_channels_in_their_order(root):
    events = {k: v for k, v in EVENTS.items() if k != "n_channels"}
    other = load(root, {**events, "unit": "label", "labels": True})
    assert np.array_equal(other.counts, load(root).counts[:, :, [0, 1, 3]])


def test_cells_of_spike_times_are_units_and_silent_ones_stay(root):
    cells = np.empty((1, N_UNITS), object)
    for unit, ticks in enumerate(BY_UNIT):
        cells[0, unit] = ticks[:, None].astype(float)
    rest = {name: BASE[name] for name in ("start", "stop", "v", "t")}
    scipy.io.savemat(root / "old.mat", {"spikes": cells, **rest})
    with h5py.File(root / "new.mat", "w") as file:
        made = [
            file.create_dataset(f"#refs#/{u}", data=t[None] / 1.0) for u, t in enumerate(BY_UNIT)
        ]
        made[2] = file.create_dataset("#refs#/empty", data=np.zeros(2, np.uint64))
        made[2].attrs["MATLAB_empty"] = 1  # its data are its shape
        refs = np.array([[d.ref for d in made]], dtype=h5py.ref_dtype).T
        file.create_dataset("spikes", data=refs, dtype=h5py.ref_dtype)
        for name, array in rest.items():
            file[name] = np.atleast_2d(array).T if array.ndim == 2 else array[None]
    events = {"time": "spikes", "per_unit": "spikes/count", "clock": "30 kHz", "trial_clock": 1}
    for path in ("old.mat", "new.mat"):
        other = load(root, events, kind="mat", path=path)
        assert np.array_equal(other.counts, load(root).counts)
    with pytest.raises(DataError, match=r"is a cell array; .*per_unit: spikes/count"):
        load(root, {"time": "spikes", "clock": "30 kHz"}, kind="mat", path="old.mat")


def test_rows_and_data_sets_of_units_read_the_same(root):
    with h5py.File(root / "a.h5", "w") as file:
        rows = file.create_dataset("spikes", (N_UNITS,), h5py.vlen_dtype(np.int64))
        for unit, ticks in enumerate(BY_UNIT):
            rows[unit] = ticks
            file[f"units/u{9 + unit}/ticks"] = ticks  # u9, u10, ...
        for name in ("start", "stop", "v", "t"):
            file[name] = BASE[name]
    clocks = {"clock": "30 kHz", "trial_clock": 1}
    for events in ({"time": "spikes", "per_unit": "spikes/count"}, {"time": "units/*/ticks"}):
        other = load(root, events | clocks, kind="hdf5", path="a.h5")
        assert np.array_equal(other.counts, load(root).counts)
    for wrong, says in (
        ({"time": "spikes"}, "is a cell array"),
        ({"time": "units/*/ticks", "unit": "spikes"}, "names 4 data sets, each of one channel"),
        ({"time": "units/*/time"}, "no data set 'units/\\*/time'; did you mean 'units/u9/ticks'"),
    ):
        with pytest.raises(DataError, match=says):
            load(root, wrong | clocks, kind="hdf5", path="a.h5")


@pytest.mark.parametrize(
    ("events", "behaviour", "says"),
    [
        (EVENTS, {**BEHAVIOUR, "clock": "30 kHz"},
         r"t: its times run from 0 to 0\.000666333 s, the recording from 1 to .*behaviour\.clock"),
        ({**EVENTS, "unit": "how_many"}, BEHAVIOUR, "4 channels for 500 spike times"),
        ({"time": "tick", "per_unit": "unit", "clock": "30 kHz", "trial_clock": 1}, BEHAVIOUR,
         r"unit: 500 numbers of spikes that add up to \d+, for 500 spike times; give one for"),
    ],
)  # fmt: skip
def test_clocks_that_do_not_go_together_are_named(root, events, behaviour, says):
    with pytest.raises(DataError, match=says):
        load(root, events, behaviour)


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ({"length": "last"}, "either `length` or `stop`"),
        ({"start": None}, "`stop` goes with `start`"),
        ({"events": {**EVENTS, "per_unit": "how_many"}}, "leave out unit and n_channels"),
        ({"events": {**EVENTS, "labels": True}}, "without n_channels"),
        ({"behaviour": {"data": "v", "unit": "m", "clock": 1}}, "clock goes with time"),
    ],
)
def test_contradictions_are_refused(root, block, says):
    with pytest.raises(ValidationError, match=says):
        load(root, **block)


def test_counts_are_cut_by_starts_and_stops(tmp_path):
    counts = RNG.poisson(1.0, (100, 3))
    start, stop = np.array([2, 20, 50, 80]), np.array([18, 50, 75, 100])
    np.savez(tmp_path / "b", c=counts, start=start, stop=stop, n=stop - start)
    block = {"kind": "npz", "path": "b.npz", "counts": "c", "bin": "20 ms", "start": "start"}
    source = TypeAdapter(AnyRecording).validate_python({**block, "stop": "stop"})
    other = TypeAdapter(AnyRecording).validate_python({**block, "length": "n"})
    assert np.array_equal(source.load(tmp_path).counts, other.load(tmp_path).counts)
    assert source.load(tmp_path).lengths.tolist() == (stop - start).tolist()
