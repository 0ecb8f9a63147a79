import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fsl_jax.packing.fitting import fit
from fsl_jax.packing.placements import RowShape
from fsl_jax.packing.shapes import cost, row_shape

batches = st.tuples(st.integers(1, 5), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.int32, shape, elements=st.integers(0, 200))
)


@settings(max_examples=40)
@given(batches, st.sampled_from([1, 2, 3]), st.sampled_from([0, 1, 5]), st.sampled_from([1, 50]))
def test_all_batches_fit(lengths, multiple, slot_width, shortest_row):
    shape = row_shape(lengths, multiple, slot_width, shortest_row)
    assert shape.rows % multiple == 0
    assert shape.length % 8 == 0
    assert shape.length >= shortest_row
    assert fit(lengths, shape)[1].all()


@settings(max_examples=40)
@given(batches)
def test_a_row_for_each_example_does_not_cost_less(lengths):
    examples = max(np.count_nonzero(lengths, axis=1).max(), 1)
    longest = max(-(-int(lengths.max()) // 8) * 8, 8)
    assert cost(row_shape(lengths)) <= cost(RowShape(int(examples), longest, 1))


def test_no_row_is_too_many():
    # Two rows of 64 hold each batch, and attention costs less in them than in one of 128.
    lengths = np.int32([[40, 40, 24, 24], [60, 4, 32, 32]])
    assert row_shape(lengths) == RowShape(rows=2, length=64, slots=4)
    # In rows of three, there would be one token too many.
    assert row_shape(lengths, multiple=3).rows == 3


def test_slots_cost_too():
    # One long example and many short ones: a row of their own would have many slots.
    lengths = np.int32([[60, 8, 8, 8, 8, 8, 8, 8]])
    assert row_shape(lengths) == RowShape(rows=2, length=64, slots=8)
    few = row_shape(lengths, slot_width=20)
    assert few.rows * few.slots < 16
    assert cost(few, 20) < cost(RowShape(rows=2, length=64, slots=7), 20)


@pytest.mark.parametrize("slot_width", [0, 3])
def test_an_empty_batch_has_a_shape(slot_width):
    assert row_shape(np.zeros((1, 2), np.int32), slot_width=slot_width).tokens > 0
