"""A small NWB file, written by pynwb, with counts worked out by hand."""

from __future__ import annotations

import datetime
import warnings

import h5py
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from implant_sim.recordings import AnyRecording
from implant_sim.study.load import load as load_study
from sbtt_models.errors import DataError

pynwb = pytest.importorskip("pynwb")

SPIKES = [
    [0.05, 0.15, 0.16, 1.0, 1.1, 2.25, 3.05],
    [0.0, 0.3, 1.29, 1.3, 2.0, 2.1, 3.1, 3.2],
    [9.0],
]


def build(path, *, trials=True, intervals=False):
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    nwb = pynwb.NWBFile("s", "id", start)
    nwb.add_unit_column("heldout", "held out")
    for i, times in enumerate(SPIKES):
        more = {"obs_intervals": [[0.0, 1.2], [2.0, 10.0]]} if intervals else {}
        nwb.add_unit(spike_times=times, heldout=i == 1, **more)
    if trials:
        for name in ("move", "split", "kind"):
            nwb.add_trial_column(name, name)
        split = ["train", "train", "val", "test"]
        for i in range(4):
            nwb.add_trial(
                start_time=float(i), stop_time=i + 0.5, move=np.nan if i == 2 else i + 0.1,
                split=split[i], kind="ab"[i % 2],
            )  # fmt: skip
    module = nwb.create_processing_module("behavior", "b")
    module.add(
        pynwb.TimeSeries(
            name="hand", data=np.stack([np.arange(1000.0), np.zeros(1000)], axis=1), unit="m",
            rate=100.0, conversion=0.01,
        )
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pynwb.NWBHDF5IO(path, "w") as io:
            io.write(nwb)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nwb")
    build(folder / "a.nwb")
    build(folder / "gaps.nwb", intervals=True)
    build(folder / "long.nwb", trials=False)
    return folder


def load(root, path="a.nwb", **block):
    whole = {"kind": "nwb", "path": path, "bin": "100 ms"} | block
    return TypeAdapter(AnyRecording).validate_python(whole).load(root)


def test_counts_by_hand(folder):
    recording = load(folder, condition=["kind"], behaviour={"name": "hand"})
    assert recording.counts.shape == (4, 5, 3)
    assert recording.counts[:, :, 0].tolist() == [
        [1, 2, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [1, 0, 0, 0, 0],
    ]
    assert recording.counts[:, :, 1].tolist() == [
        [1, 0, 0, 1, 0],
        [0, 0, 1, 1, 0],
        [1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0],
    ]
    assert recording.silent_channels.tolist() == [2]
    assert recording.condition.tolist() == [0, 1, 0, 1]
    assert recording.behaviour.unit == "m"
    # the hand moves at 1 m/s: its mean over a bin is its place at the middle
    assert np.allclose(recording.behaviour.values[1, :, 0], [1.05, 1.15, 1.25, 1.35, 1.45])
    assert recording.recorded is None


def test_align_leaves_out_trials_without_the_event(folder):
    align = {"field": "move", "before": "100 ms", "after": "200 ms"}
    recording = load(folder, align=align)
    assert recording.origin[:, 0].tolist() == [0, 1, 3]
    assert recording.counts[:, :, 0].tolist() == [[1, 2, 0], [1, 1, 0], [1, 0, 0]]


def test_lag_reads_later_behaviour(folder):
    lagged = load(folder, behaviour={"name": "behavior/hand", "lag": "80 ms", "columns": [0]})
    assert np.allclose(lagged.behaviour.values[0, 0], [0.13])


def test_split_column_and_units(folder):
    recording = load(folder, split_column="split", keep_units={"heldout": [False]})
    assert recording.n_channels == 2
    assert recording.split.train.tolist() == [0, 1]
    assert recording.split.valid.tolist() == [2]
    assert recording.split.test.tolist() == [3]


def test_outside_its_intervals_a_unit_is_unobserved(folder):
    recording = load(folder, path="gaps.nwb")
    seen = recording.available[:, :, 0]
    assert seen[[0, 2, 3]].all()
    assert seen[1].tolist() == [True, True, False, False, False]


def test_without_trials_it_is_continuous(folder):
    recording = load(folder, path="long.nwb", window="0.5 s")
    assert recording.window_bins == 5
    assert recording.lengths.sum() == 90 - 2 * 10
    assert recording.origin[:, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ({"align": {"field": "mvoe", "before": 0, "after": 1}}, "no column 'mvoe'.*did you mean"),
        ({"behaviour": {"name": "hnad"}}, "no time series is called 'hnad'.*'hand'"),
        ({"keep": {"split": ["tain"]}}, "has none of.*it holds test, train, val"),
        ({"keep_units": {"good": [1]}}, "units: no column 'good'"),
        ({"bin": "1 s"}, "trial 0 is shorter than one bin"),
        ({"align": {"field": "move", "before": 1, "after": 1}}, "overlap"),
        ({"path": "long.nwb", "split_column": "split"}, "no trials table"),
    ],
)
def test_faults_are_named(folder, block, says):
    with pytest.raises(DataError, match=says):
        load(folder, **block)


def test_an_empty_window_is_refused():
    align = {"field": "move", "before": 0, "after": 0}
    with pytest.raises(ValidationError, match="no bins"):
        TypeAdapter(AnyRecording).validate_python({"kind": "nwb", "path": "x", "align": align})


def test_links_into_other_files_are_refused(folder, tmp_path):
    build(tmp_path / "b.nwb")
    with h5py.File(tmp_path / "b.nwb", "a") as file:
        del file["units/spike_times"]
        file["units/spike_times"] = h5py.ExternalLink("/etc/passwd", "/x")
    with pytest.raises(DataError, match="link into another file"):
        load(tmp_path, path="b.nwb")


def test_an_hdf5_file_that_is_no_nwb(tmp_path):
    with h5py.File(tmp_path / "c.nwb", "w") as file:
        file["x"] = [1, 2]
    with pytest.raises(DataError, match=r"c.nwb: as NWB: cannot be read"):
        load(tmp_path, path="c.nwb")


def maze(path, columns, moves, series):
    """Reaches of 2 s with the columns and series of a file of DANDI, three units."""
    nwb = pynwb.NWBFile("s", "id", datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    intervals = [[2.0 * i, 2.0 * i + 1.9] for i in range(6)]
    for i in range(3):
        nwb.add_unit(spike_times=np.arange(0.3 + i, 12, 0.25), obs_intervals=intervals)
    for name in columns | {moves: None}:
        nwb.add_trial_column(name, name)
    for i, (start, stop) in enumerate(intervals):
        known = {name: values[i] for name, values in columns.items()}
        nwb.add_trial(start_time=start, stop_time=stop, **known, **{moves: start + 0.5})
    nwb.create_processing_module("behavior", "b").add(series)
    with warnings.catch_warnings(), pynwb.NWBHDF5IO(path, "w") as io:
        warnings.simplefilter("ignore")
        io.write(nwb)
    return {"recording.path": str(path)}


def read(changes):
    study = load_study("paper/mc_maze", changes)
    return study.points[0].scenario.recording.load(study.root)


def test_the_maze_of_the_benchmark_is_read_as_its_scenario_says(tmp_path):
    columns = {"trial_type": [1, 1, 2, 2, 1, 2], "trial_version": [0, 1, 0, 0, 0, 0]}
    velocity = np.stack([np.arange(12_000.0), np.zeros(12_000)], axis=1)
    series = pynwb.TimeSeries(name="hand_vel", data=velocity, unit="mm/s", rate=1000.0)
    recording = read(maze(tmp_path / "a.nwb", columns, "move_onset_time", series))
    assert recording.counts.shape == (6, 70, 3)
    assert recording.condition.tolist() == [0, 1, 2, 2, 0, 2]
    assert recording.behaviour.name == "hand_vel"
    # the first bin begins 250 ms before the movement, at 2.25 s; its middle is 5 ms later
    assert recording.behaviour.values[1, 0, 0] == pytest.approx(2255)


def test_the_maze_of_the_paper_is_read_with_its_own_columns(tmp_path):
    """Column names of DANDI 000070 as published loaders have them."""
    columns = {"discard_trial": [0.0, 1.0, 0.0, 0.0, 0.0, 0.0], "task_success": [1.0] * 6}
    hand = pynwb.behavior.SpatialSeries(
        name="Hand", data=np.zeros((12_000, 2)), reference_frame="screen",
        timestamps=np.arange(12_000) / 1000,
    )  # fmt: skip
    series = pynwb.behavior.Position(name="Position", spatial_series=[hand])
    changes = maze(tmp_path / "a.nwb", columns, "move_begins_time", series) | {
        "recording.align.field": "move_begins_time",
        "recording.condition": [],
        "recording.keep": {"discard_trial": [0, "0.0"], "task_success": [1, "1.0"]},
        "recording.behaviour.name": "Position/Hand",
    }
    assert read(changes).counts.shape == (5, 70, 3)
