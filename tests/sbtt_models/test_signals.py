"""Records refuse what would give wrong numbers later."""

from typing import Any

import numpy as np
import pytest

from sbtt_models.counts import as_counts
from sbtt_models.errors import DataError
from sbtt_models.signals import MaskedStream, Recording, Split

SPLIT = Split(np.array([0, 1]), np.array([2]), np.array([3]))


def recording(**changes: Any) -> Recording:
    fields: dict[str, Any] = {
        "name": "toy",
        "counts": np.ones((4, 6, 3), np.int32),
        "bin_s": 0.02,
        "lengths": np.array([6, 4, 6, 5]),
        "split": SPLIT,
    }
    return Recording(**(fields | changes))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            np.array([[1.0, np.nan]]),
            r"x\.h5: 1 of 2 counts are NaN .* \(first at \(0, 1\)",
        ),
        (np.array([np.inf, 1.0]), "NaN or infinite"),
        (np.array([0.5, 1.0]), "fractional"),
        (np.array([-1, 1]), "negative"),
        (np.array([-1.0, 1]), "negative"),
        (np.array([10**6]), "exceeds 100000"),
        (np.array(["a"]), "must be numbers"),
        (np.array([1 + 2j]), "must be numbers"),
    ],
)
def test_bad_counts_are_named(values: np.ndarray, says: str) -> None:
    with pytest.raises(DataError, match=says):
        as_counts(values, "x.h5")


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_good_counts_pass(dtype: type) -> None:
    result = as_counts(np.array([[0, 1]], dtype), "x")
    assert result.dtype == np.int32
    assert result.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"counts": np.zeros((0, 6, 3), np.int32), "lengths": np.zeros(0, int)}, "at least 1"),
        ({"bin_s": 0.0}, "bin width"),
        ({"lengths": np.array([6, 4, 7, 5])}, "between 1 and 6"),
        ({"lengths": np.array([6, 0, 6, 5])}, "between 1 and 6"),
        ({"split": Split(np.array([0]), np.array([1]), np.array([9]))}, "names trial 9 of 4"),
    ],
)
def test_a_recording_that_cannot_be_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        recording(**changes)


def test_available_is_inside_trials_and_recorded() -> None:
    gaps = np.ones((4, 6, 3), bool)
    gaps[0, 2, 1] = False
    available = recording(recorded=gaps).available
    assert available.sum() == (6 + 4 + 6 + 5) * 3 - 1
    assert not available[1, 4:].any()
    assert not available[0, 2, 1]


def test_silent_channels_are_named() -> None:
    counts = np.ones((4, 6, 3), np.int32)
    counts[:, :, 1] = 0
    assert recording(counts=counts).silent_channels.tolist() == [1]


def test_selecting_channels_cuts_everything() -> None:
    counts = np.arange(72, dtype=np.int32).reshape(4, 6, 3)
    cut = recording(counts=counts, expected=counts.astype(float)).select_channels(np.array([2, 0]))
    assert cut.n_channels == 2
    assert (cut.counts == counts[..., [2, 0]]).all()
    assert (cut.expected == counts[..., [2, 0]]).all()


def test_a_split_may_not_train_on_what_it_judges() -> None:
    with pytest.raises(DataError, match="trial 1 both trains and is judged"):
        Split(np.array([0, 1]), np.array([1]), np.array([2]))
    with pytest.raises(DataError, match="test part is empty"):
        Split(np.array([0]), np.array([1]), np.zeros(0, int))
    assert not Split(np.array([0]), np.array([1]), np.array([1])).judged_once
    assert SPLIT.judged_once


def test_what_is_fitted_is_never_tested() -> None:
    assert SPLIT.fitted.tolist() == [0, 1, 2]
    assert Split(np.array([0, 1]), np.array([2]), np.array([2])).fitted.tolist() == [0, 1]


def test_a_count_without_exposure_is_a_leak() -> None:
    counts, exposure = np.ones((4, 6, 3), np.int32), np.ones((4, 6, 3), np.float32)
    exposure[0, 0, 0] = 0
    with pytest.raises(DataError, match="exposure is 0"):
        MaskedStream(counts, exposure, np.full(4, 6), 0.02, SPLIT)


def test_a_negative_count_is_none_but_a_real_value_may_be_negative() -> None:
    values, exposure = np.ones((4, 6, 3), np.int32), np.ones((4, 6, 3), np.float32)
    values[2, 1, 0] = -3
    with pytest.raises(
        DataError, match=r"1 counts are negative \(first -3 at \(2, 1, 0\)\); mark"
    ):
        MaskedStream(values, exposure, np.full(4, 6), 0.02, SPLIT)
    real = MaskedStream(values.astype(np.float32), exposure, np.full(4, 6), 0.02, SPLIT)
    assert real.counts.min() == -3


def test_hiding_removes_count_and_exposure() -> None:
    shape = (4, 6, 3)
    stream = MaskedStream(
        np.ones(shape, np.int32), np.ones(shape, np.float32), np.full(4, 6), 0.02, SPLIT
    )
    entries = np.zeros(shape, bool)
    entries[1, 2] = True
    hidden = stream.hide(entries)
    assert not hidden.observed[1, 2].any()
    assert hidden.counts.sum() == np.prod(shape) - 3
    assert stream.observed.all()


@pytest.mark.parametrize(
    ("lengths", "exposure_at", "says"),
    [
        ([5, 6], None, "one number for each of 2 trials, from 0 to 5 bins; got shape"),
        ([5, 3], (1, 4, 0), r"1 bins with exposure come after their trial's end \(first at"),
    ],
)
def test_lengths_bound_the_data(lengths, exposure_at, says):
    counts = np.zeros((2, 5, 2), np.int32)
    exposure = np.zeros((2, 5, 2), np.float32)
    exposure[0] = exposure[1, :3] = 1.0
    split = Split(np.array([0]), np.array([1]), np.array([1]))
    MaskedStream(counts, exposure, np.array([5, 3]), 0.02, split)
    if exposure_at is not None:
        exposure[exposure_at] = 1.0
    with pytest.raises(DataError, match=says):
        MaskedStream(counts, exposure, np.array(lengths), 0.02, split)
