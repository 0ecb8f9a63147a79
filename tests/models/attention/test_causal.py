"""Masks and positions of a decoder, with and without a prefix."""

import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.attention.causal import causal_attention_inputs
from fsl_jax.models.outputs import KeyValues

MASK = jnp.array([[True, True, True], [False, True, True]])


def prefix(mask, positions=None, layers=3):
    keys = jnp.arange(layers, dtype=jnp.float32)[:, None, None, None, None]
    keys = jnp.broadcast_to(keys, (layers, *mask.shape, 1, 2))
    return KeyValues(keys, -keys, mask, positions)


def test_a_token_sees_the_real_tokens_up_to_itself():
    inputs = causal_attention_inputs(MASK, None, None)
    assert inputs.positions.tolist() == [[0, 1, 2], [0, 0, 1]]
    first, second = inputs.mask.astype(jnp.int32).tolist()
    assert first == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert second == [[0, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert inputs.per_layer(0, 3) is None
    np.testing.assert_array_equal(inputs.key_positions(), inputs.positions)


def test_positions_go_on_from_the_real_tokens_of_a_prefix_that_all_tokens_see():
    before = jnp.array([[True, True, False]])
    inputs = causal_attention_inputs(MASK, None, prefix(before))
    assert inputs.positions.tolist() == [[2, 3, 4], [2, 2, 3]]
    assert inputs.key_positions().tolist() == [[0, 1, 1, 2, 3, 4], [0, 1, 1, 2, 2, 3]]
    np.testing.assert_array_equal(
        inputs.mask[:, :, :3], jnp.broadcast_to(before[:, None], (2, 3, 3))
    )
    np.testing.assert_array_equal(
        inputs.mask[:, :, 3:], causal_attention_inputs(MASK, None, None).mask
    )


def test_a_prefix_may_bring_its_positions():
    before = prefix(jnp.array([[True, True]]), jnp.array([[4, 9]]))
    inputs = causal_attention_inputs(MASK, None, before)
    assert inputs.key_positions()[:, :2].tolist() == [[4, 9], [4, 9]]


def test_each_section_reads_the_prefix_of_its_layers():
    inputs = causal_attention_inputs(MASK, None, prefix(jnp.array([[True]])))
    keys, values = inputs.per_layer(1, 2)
    assert keys[:, 0, 0, 0, 0].tolist() == [1, 2]
    assert values[:, 0, 0, 0, 0].tolist() == [-1, -2]


def test_keys_and_values_of_the_sections_are_joined():
    inputs = causal_attention_inputs(MASK, None, None)
    assert inputs.key_values([]) is None
    states = jnp.arange(12, dtype=jnp.float32).reshape(2, 2, 3, 1, 1)
    joined = inputs.key_values([(states[:1], -states[:1]), (states[1:], -states[1:])])
    np.testing.assert_array_equal(joined.keys, states)
    np.testing.assert_array_equal(joined.values, -states)
    np.testing.assert_array_equal(joined.mask, MASK)


def test_a_mask_of_pairs_needs_positions_and_tells_which_tokens_are_real():
    pairs = jnp.array([[[True, True, False], [True, True, False]]])
    with pytest.raises(InputError, match="position_ids are missing"):
        causal_attention_inputs(pairs, None, None)
    positions = jnp.array([[5, 6]])
    inputs = causal_attention_inputs(pairs, positions, prefix(jnp.array([[True]])))
    assert inputs.real.tolist() == [[True, False]]
    np.testing.assert_array_equal(inputs.mask, pairs)
    np.testing.assert_array_equal(inputs.positions, positions)
