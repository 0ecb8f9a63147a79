import numpy as np
import pytest

from fsl_jax.packing.padding import Padding, padding
from fsl_jax.packing.placements import Placements, RowShape


def test_padding_is_what_is_computed_beyond_the_examples():
    lengths = np.int32([3, 4, 5])
    steps = Placements(
        examples=np.int32([[[0, 1], [1, 2]]]),
        starts=np.int32([[[0, 3], [0, 4]]]),
        weight=np.ones((1, 2, 2), np.float32),
        shape=RowShape(rows=1, length=10, slots=2),
    )
    assert padding(lengths, steps) == Padding(computed=20, real=16)
    batch = Placements(
        np.int32([2, 0]), np.int32([0, 0]), np.float32([1, 0]), RowShape(rows=2, length=6, slots=1)
    )
    both = padding(lengths, steps, batch)
    assert both == Padding(computed=32, real=21)
    assert both.share == pytest.approx(11 / 32)
    assert padding(lengths).share == 0


def test_tokens_in_slots_count_too():
    # Two slots of four tokens a row, of which the examples use three and one.
    steps = Placements(
        np.int32([[0, 1]]), np.int32([[0, 5]]), np.ones((1, 2), np.float32), RowShape(1, 10, 2)
    )
    lengths, in_slots = np.int32([5, 4]), np.int32([3, 1])
    assert padding(lengths + in_slots, steps, slot_width=4) == Padding(computed=18, real=13)
