"""Windows cover every bin, stay inside their trial, and stitch back to what they were cut from."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sbtt_models.windows import cut, stitch


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.integers(1, 15),
    st.integers(1, 15),
    st.booleans(),
)
def test_windows_cover_and_stitch(
    lengths: list[int], n_bins: int, stride: int, redraw: bool
) -> None:
    stride = min(stride, n_bins)
    size = np.array(lengths)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(size.size, size.max(), 2))
    padded = np.pad(values, ((0, 0), (0, n_bins), (0, 0)))
    windows = cut(size, np.arange(size.size), n_bins, stride, rng if redraw else None)
    assert (windows.start >= 0).all()
    assert (windows.start <= np.maximum(size[windows.trial] - n_bins, 0)).all()
    if redraw:
        return
    pieces = np.stack(
        [padded[t, s : s + n_bins] for t, s in zip(windows.trial, windows.start, strict=True)]
    )
    whole = stitch(pieces, windows, values.shape)
    sorted_ = windows.longest_first(size)
    inside = np.minimum(size[sorted_.trial] - sorted_.start, n_bins)
    assert (np.diff(inside) <= 0).all()
    assert {*zip(sorted_.trial, sorted_.start, strict=True)} == {
        *zip(windows.trial, windows.start, strict=True)
    }
    for trial, length in enumerate(lengths):
        np.testing.assert_allclose(whole[trial, :length], values[trial, :length])


def test_the_centre_of_a_window_weighs_more_than_its_edge() -> None:
    windows = cut(np.array([6]), np.array([0]), 4, 2)
    assert windows.start.tolist() == [0, 2]
    pieces = np.stack([np.zeros((4, 1)), np.ones((4, 1))])
    # bins 2 and 3 are shared: triangle 1 2 2 1, so weights 2:1 and 1:2
    np.testing.assert_allclose(
        stitch(pieces, windows, (1, 6, 1))[0, :, 0], [0, 0, 1 / 3, 2 / 3, 1, 1]
    )


def test_redrawn_windows_are_as_many_and_differ() -> None:
    size, rng = np.array([200]), np.random.default_rng(0)
    fixed = cut(size, np.array([0]), 20, 10)
    redrawn = cut(size, np.array([0]), 20, 10, rng)
    assert fixed.start.size == redrawn.start.size
    assert not np.array_equal(np.sort(redrawn.start), fixed.start)
