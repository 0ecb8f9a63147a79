import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fsl_jax.packing.fitting import fit, largest_count
from fsl_jax.packing.placements import RowShape

batches = st.tuples(st.integers(1, 5), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.int32, shape, elements=st.integers(0, 20))
)


def occupied(lengths, starts, shape):
    """How many examples of a batch have each place."""
    places = np.zeros(shape.tokens, int)
    for start, length in zip(starts, lengths, strict=True):
        places[start : start + length] += 1
    return places


@given(batches, st.integers(1, 9), st.integers(20, 40), st.integers(1, 9))
def test_what_fits_does_not_overlap_and_ends_in_its_row(lengths, rows, length, slots):
    shape = RowShape(rows, length, slots)
    starts, fits = fit(lengths, shape)
    assert starts.dtype == np.int32
    for batch, start in zip(lengths[fits], starts[fits], strict=True):
        assert (occupied(batch, start, shape) <= 1).all()
        real = batch > 0
        assert (start[real] // length == (start + batch - 1)[real] // length).all()
        assert np.bincount(start[real] // length, minlength=1).max() <= slots
    if fits.any():
        assert largest_count(lengths[fits], starts[fits], shape) <= slots


@given(batches)
def test_a_row_for_each_example_is_enough(lengths):
    assert fit(lengths, RowShape(lengths.shape[1], 20, 1))[1].all()


def test_too_many_tokens_and_too_few_slots_do_not_fit():
    lengths = np.array([[9, 8, 3], [9, 9, 9], [2, 2, 2]], np.int32)
    assert fit(lengths, RowShape(2, 12, 3))[1].tolist() == [True, False, True]
    assert fit(lengths, RowShape(2, 12, 1))[1].tolist() == [False, False, False]
    assert fit(lengths, RowShape(2, 9, 3))[1].tolist() == [False, False, True]


def test_few_slots_are_filled_evenly():
    # Always the first row with room: 5 and 3 would fill a row, and four are too many for the other.
    lengths = np.array([[1, 1, 5, 3, 2, 2]], np.int32)
    shape = RowShape(2, 8, 3)
    starts, fits = fit(lengths, shape)
    assert fits.all()
    assert largest_count(lengths, starts, shape) == 3


def test_other_orders_are_tried():
    # 8 and 7 in one row leave a gap of 1. Both rows can be full, but not with the longest first.
    lengths = np.array([[5, 6, 2, 4, 7, 8]], np.int32)
    shape = RowShape(2, 16, 6)
    starts, fits = fit(lengths, shape)
    assert fits.all()
    assert (occupied(lengths[0], starts[0], shape) == 1).all()
    np.testing.assert_array_equal(fit(lengths, shape)[0], starts)


def test_an_example_that_is_longer_than_a_row_is_an_error():
    with pytest.raises(ValueError, match="13 tokens does not fit into rows of 12"):
        fit(np.array([[9, 13]], np.int32), RowShape(4, 12, 4))
