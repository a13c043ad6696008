"""Imaging of a synthetic population: what each step from spikes to events must leave true."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy.optimize import nnls

from implant_sim.recordings import AnyRecording
from implant_sim.recordings.assemble import Piece
from implant_sim.recordings.calcium import CalciumSource
from implant_sim.recordings.deconvolution import Rule, deconvolve, events_of, noise_of
from implant_sim.recordings.indicator import Indicator, calcium
from implant_sim.recordings.scanning import bin_in_frame, scanned
from sbtt_models.errors import DataError

HERE = Path()
START, RULE = np.zeros(1, np.int64), Rule(kept=0.8, threshold=2.0)
SMALL = {"channels": 5, "duration": "24 s", "window": "0.6 s", "seed": 3}


def transients(n, kept):
    """Column t is what an event in frame t leaves behind."""
    lag = np.subtract.outer(np.arange(n), np.arange(n))
    return np.where(lag >= 0, kept ** np.maximum(lag, 0.0), 0.0)


@pytest.mark.parametrize("seed", range(60))
def test_deconvolution_is_non_negative_least_squares(seed):
    rng = np.random.default_rng(seed)
    n, kept = int(rng.integers(1, 50)), rng.uniform(0.05, 0.99)
    trace = rng.uniform(0.1, 2) * rng.normal(size=n) + rng.poisson(0.3, n) + rng.normal()
    assert np.allclose(deconvolve(trace, kept), nnls(transients(n, kept), trace)[0], atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_no_event_is_smaller_than_the_least(seed):
    rng = np.random.default_rng(seed)
    trace = rng.normal(size=400) + 3 * rng.poisson(0.1, 400)
    events = deconvolve(trace, rng.uniform(0.3, 0.97), least=1.5)[1:]
    assert events[events > 0].min() >= 1.5 - 1e-12
    assert (events > 0).any()


def test_events_of_a_clean_trace_come_back():
    events = np.random.default_rng(0).poisson(0.2, 300).astype(float)
    assert np.allclose(deconvolve(transients(300, 0.9) @ events, 0.9), events, atol=1e-9)


def test_noise_is_found_under_events():
    rng = np.random.default_rng(1)
    spikes, kept = rng.poisson(0.03, 20_000), np.exp(-0.03 / 0.26)
    trace = 3 * calcium(spikes, 0.03, 0.0135, 0.26) + 0.2 * rng.normal(size=20_000)
    assert noise_of([trace], kept) == pytest.approx(0.2, rel=0.15)
    assert noise_of([], kept) == 0.0
    assert noise_of([np.ones(1)], kept) == 0.0


def test_runs_between_gaps_are_deconvolved_by_themselves():
    rng = np.random.default_rng(2)
    traces = rng.normal(size=(60, 2)) + 5 * rng.poisson(0.1, (60, 2))
    known = np.ones((60, 2), bool)
    known[20:25, 0] = False
    events, observed = events_of(traces, known, START, RULE)
    assert np.flatnonzero(~observed[:, 0]).tolist() == [0, *range(20, 26)]
    assert np.flatnonzero(~observed[:, 1]).tolist() == [0]
    assert not events[~observed].any()
    changed = traces.copy()
    changed[20:25, 0] = 1e6  # what was not recorded cannot matter
    assert np.array_equal(events_of(changed, known, START, RULE)[0], events)
    noise = noise_of([traces[:20, 0], traces[25:, 0]], 0.8)
    alone = deconvolve(traces[25:, 0], 0.8, 2 * noise) / (2 * noise)
    assert np.allclose(events[26:, 0], alone[1:])


def test_transients_add_up():
    spikes = np.random.default_rng(3).poisson(0.05, 400)
    step, rise, decay = 0.004, 0.02, 0.3
    t = np.arange(400) * step
    kernel = np.exp(-t / decay) - np.exp(-t / rise)
    fine = np.linspace(0, 1, 100_001)
    peak = (np.exp(-fine / decay) - np.exp(-fine / rise)).max()
    # a spike at the start of its step is seen from the end of that step on
    slow = np.convolve(spikes, np.append(kernel, np.exp(-400 * step / decay))[1:] / peak)[:400]
    assert np.allclose(calcium(spikes, step, rise, decay), slow, atol=1e-6)


@pytest.mark.parametrize("row_times", [True, False])
def test_a_scan_sees_each_cell_once_a_frame(row_times):
    rng = np.random.default_rng(4)
    values, heights = rng.random((7, 4)).astype(np.float32), np.array([0.0, 0.34, 0.66, 0.999])
    known = rng.random((7, 4)) < 0.8
    place = bin_in_frame(heights, 3, row_times)
    assert place.tolist() == ([0, 1, 1, 2] if row_times else [1, 1, 1, 1])
    piece = scanned(Piece(values, recorded=known, origin=(2, 5)), place, 3)
    assert piece.counts.shape == (21, 4)
    assert piece.origin == (2, 15)
    for frame in range(7):
        for channel in range(4):
            seen = piece.recorded[3 * frame : 3 * frame + 3, channel]
            assert seen.sum() == known[frame, channel]
            assert piece.counts[3 * frame + place[channel], channel] == values[frame, channel]


def test_lines_and_frames_hold_the_same_events():
    """However bins are cut, the microscope has seen the same; the blocks of the split agree."""
    lines = CalciumSource(**SMALL).load(HERE)
    frames = CalciumSource(**SMALL, bins_per_frame=1, states_per_bin=3).load(HERE)
    blind = CalciumSource(**SMALL, row_times=False).load(HERE)
    assert lines.real
    assert lines.counts.dtype == np.float32
    assert np.array_equal(lines.lengths, 3 * frames.lengths)
    assert np.array_equal(lines.origin[:, 1], 3 * frames.origin[:, 1])
    for fine in (lines, blind):
        parts = fine.counts.reshape(*frames.counts.shape[:2], 3, 5)
        assert np.array_equal(parts.sum(axis=2), frames.counts)
        seen = fine.recorded.reshape(parts.shape)
        assert np.array_equal(seen.sum(axis=2), frames.recorded)
    assert not blind.recorded[:, 0::3].any()
    assert not blind.recorded[:, 2::3].any()
    assert len({tuple(r.any(axis=(0, 1)).tolist()) for r in seen.transpose(2, 0, 1, 3)}) > 1
    states = frames.behaviour.values.reshape(*lines.behaviour.values.shape)
    inside = lines.behaviour.valid
    assert np.allclose(states[inside], lines.behaviour.values[inside])


def test_events_are_no_smaller_than_their_unit():
    counts = CalciumSource(**SMALL).load(HERE).counts
    assert counts[counts != 0].min() >= 1 - 1e-6
    assert 0.02 < (counts != 0).mean() < 0.2


def test_events_follow_the_rate():
    """Twice the spikes, twice the summed events; the spikes' own size comes back."""
    imaging = {**SMALL, "duration": "120 s", "deconvolution": {"threshold": 0}}
    even = {"noise": 0, "amplitude_spread": 0, "decay_spread": 0}
    low, high = (
        CalciumSource(**imaging, mean_rate=rate, indicator=even).load(HERE) for rate in (1.0, 2.0)
    )
    totals = [r.counts.sum() / r.recorded.sum() for r in (low, high)]
    assert totals[1] / totals[0] == pytest.approx(2.0, rel=0.15)
    spikes = totals[0] / Indicator().amplitude  # without a threshold the unit is that of dF/F
    assert spikes == pytest.approx(0.03 * 1.0, rel=0.25)  # one a second, frames of 30 ms


def test_same_seed_same_data():
    one, two, other = (
        CalciumSource(**SMALL | {"seed": seed}).load(HERE).counts for seed in (3, 3, 4)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_declared_is_no_less_than_made():
    source = CalciumSource(**SMALL)
    made = source.load(HERE).counts
    assert source.declared.n_bins >= made.shape[0] * made.shape[1]
    assert source.declared.bin_s == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"bins_per_frame": 30, "states_per_bin": 3}, "must divide 30"),
        ({"indicator": {"rise": "0.3 s"}}, "shorter than decay"),
        ({"bins_per_frame": 4}, "bins_per_frame"),
        ({"mean_rate": "1000 Hz", "frame": "5 s"}, "spikes in a frame"),
    ],
)
def test_what_cannot_be_is_refused(changes, match):
    with pytest.raises(ValidationError, match=match):
        CalciumSource.model_validate(SMALL | changes)


@pytest.fixture
def imaged(tmp_path):
    """A file of four trials of 60 frames, three cells, the last with a frame missing."""
    rng = np.random.default_rng(5)
    events = rng.poisson(0.15, (4, 60, 3)) * rng.uniform(0.8, 1.2, (4, 60, 3))
    traces = np.stack([transients(60, 0.8) @ trial for trial in events]) + 2.0
    traces += 0.01 * rng.normal(size=traces.shape)
    traces[1, 20, 2] = np.nan
    path = tmp_path / "imaged.h5"
    with h5py.File(path, "w") as file:
        for i, trial in enumerate(traces):
            file[f"trial_{i}/dff"] = trial
        file["height"] = [0.1, 0.5, 0.9]
        file["lines"] = [10, 50, 90]
    block = {
        "kind": "hdf5", "path": path.name, "group": "trial_*", "counts": "dff", "missing": "nan",
        "bin": "30 ms", "split": {"by": "trials"},
        "fluorescence": {"decay": -0.03 / np.log(0.8), "sizes": True, "baseline": 0.2},
    }  # fmt: skip
    return block, events


def source(block, **rule):
    changed = block | {"fluorescence": block["fluorescence"] | rule}
    return TypeAdapter(AnyRecording).validate_python(changed)


def test_sizes_of_events_come_out_of_a_file(imaged, tmp_path):
    block, events = imaged
    recording = source(block).load(tmp_path)
    assert recording.real
    assert source(block).imaged
    for found, seen, true in zip(recording.counts, recording.available, events, strict=True):
        assert not seen[0].any()
        for channel in range(3):
            own = seen[:, channel]
            assert np.corrcoef(found[own, channel], true[own, channel])[0, 1] > 0.95
    assert np.argwhere(~recording.available[:, 1:]).tolist() == [[1, 19, 2], [1, 20, 2]]


def test_bins_of_lines_come_out_of_a_file(imaged, tmp_path):
    block, _ = imaged
    frames = source(block).load(tmp_path)
    for scan in ({"seed": 2}, {"rows": "/height"}):
        lines = source(block, scan=scan).load(tmp_path)
        assert lines.bin_s == pytest.approx(0.01)
        parts = lines.counts.reshape(4, 60, 3, 3)
        assert np.array_equal(parts.sum(axis=2), frames.counts)
        seen = lines.available.reshape(parts.shape)
        assert np.array_equal(seen.sum(axis=2), frames.available)
        of_cell = seen.any(axis=(0, 1))  # one bin of the frame for each
        assert (of_cell.sum(axis=0) == 1).all()
    assert of_cell.argmax(axis=0).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("rule", "match"),
    [
        ({"scan": {"rows": "/lines"}}, r"must lie in \[0, 1\).*divide the line"),
        ({"scan": {"rows": "trial_0/dff"}}, "no data set"),
    ],
)
def test_rows_that_cannot_be_are_refused(imaged, tmp_path, rule, match):
    with pytest.raises(DataError, match=match):
        source(imaged[0], **rule).load(tmp_path)


def test_a_scan_needs_sizes_and_takes_no_truth(imaged):
    block, _ = imaged
    with pytest.raises(ValidationError, match="scan goes with `sizes: true`"):
        source(block, sizes=False, scan={})
    with pytest.raises(ValidationError, match="behaviour by frame cannot be divided"):
        source(block | {"behaviour": {"data": "x", "unit": "m"}}, scan={})


def test_traces_that_are_not_finite_are_refused(imaged, tmp_path):
    block = {k: v for k, v in imaged[0].items() if k != "missing"}
    with pytest.raises(DataError, match="NaN or infinite"):
        source(block).load(tmp_path)
