"""Slots hold a constant number of further tokens for each example of a row."""

import jax.numpy as jnp
import numpy as np

from fsl_jax.formulations import packed_batch
from fsl_jax.formulations.label_words import LabelWords
from fsl_jax.formulations.slots import make_slots, states_of_slots

SEGMENTS = [[1, 2], [3] * 5, [4], [5] * 3]
"""In rows of six tokens: the second and the third, the last and the first."""


def test_each_example_has_a_slot_of_its_row():
    batch = packed_batch(SEGMENTS, length=6)
    words = LabelWords.from_tokens([[7, 4], [4], [8, 7, 6]], [0, 1, 2])
    slots = make_slots(batch, jnp.array([20, 21], jnp.int32), jnp.array([True, False]), words)
    assert slots.input_ids.tolist() == [[20, 21, 7, 8, 7] * 2] * 2
    assert slots.segment_ids.tolist() == [[2] * 5 + [3] * 5, [4] * 5 + [1] * 5]
    # The words follow the one real token of the two.
    assert slots.offset.tolist() == [0, 0, 1, 1, 2] * 2
    sees = slots.sees.astype(int)
    assert sees[:5, :5].tolist() == [
        [1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [1, 0, 1, 0, 0],
        [1, 0, 0, 1, 0],
        [1, 0, 0, 1, 1],
    ]
    np.testing.assert_array_equal(sees[5:, 5:], sees[:5, :5])
    assert not sees[:5, 5:].any()
    assert not sees[5:, :5].any()


def test_states_are_read_at_the_slot_of_each_example():
    batch = packed_batch(SEGMENTS, length=6)
    hidden = jnp.arange(2 * 6, dtype=jnp.float32).reshape(2, 6, 1)
    assert states_of_slots(batch, hidden)[..., 0].tolist() == [
        [9.0, 10.0, 11.0],
        [0.0, 1.0, 2.0],
        [3.0, 4.0, 5.0],
        [6.0, 7.0, 8.0],
    ]
