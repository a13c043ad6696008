"""A recording that a microscope has read: what schedules take of it; nothing is priced."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter

from implant_sim.hardware.imaging import image
from implant_sim.hardware.schedules import AnySchedule
from implant_sim.recordings.calcium import CalciumSource
from sbtt_models.errors import SpecError

SCHEDULE = TypeAdapter(AnySchedule)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    source = CalciumSource(channels=6, duration="20 s", window="0.6 s")
    return source.load(tmp_path_factory.getbasetemp())


def taken(recording, tree, seed=0):
    return image(recording, SCHEDULE.validate_python(tree), np.random.default_rng(seed))


def test_full_takes_all_that_was_scanned(recording):
    stream, activity = taken(recording, {"kind": "full"})
    assert stream.real
    assert np.array_equal(stream.counts, recording.counts)
    assert np.array_equal(stream.observed, recording.available)
    assert activity.actions == ()
    assert activity.sampled_fraction == 1.0
    # each cell once a frame of 30 ms; the first frame has a level, not an event
    assert activity.sample_rate_hz == pytest.approx(1 / 0.03, rel=0.01)
    assert "nothing is priced" in activity.notes[0]


def test_a_schedule_takes_part_of_the_scan_and_no_more(recording):
    stream, activity = taken(recording, {"kind": "random_subset", "fraction": 0.5})
    assert not (stream.observed & ~recording.available).any()
    assert np.array_equal(stream.counts[stream.observed], recording.counts[stream.observed])
    assert activity.sampled_fraction == pytest.approx(0.5, abs=0.03)
    again, _ = taken(recording, {"kind": "random_subset", "fraction": 0.5})
    other, _ = taken(recording, {"kind": "random_subset", "fraction": 0.5}, seed=1)
    assert np.array_equal(stream.observed, again.observed)
    assert not np.array_equal(stream.observed, other.observed)


@pytest.mark.parametrize(
    ("tree", "match"),
    [
        ({"kind": "random_subset", "fraction": 0.5, "dwell": "5 ms"}, "leave dwell out"),
        ({"kind": "event_driven", "delta": 1}, "follows the data"),
        ({"kind": "activity", "bandwidth": 2}, "follows the data"),
        ({"kind": "static_subset", "bandwidth": 2, "order": "rate"}, "tuned on them"),
    ],
)
def test_schedules_that_need_counts_are_refused(recording, tree, match):
    with pytest.raises(SpecError, match=match):
        taken(recording, tree)
