"""Attention with a written-out gradient is the attention that JAX differentiates itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.attention.softmax_attention import softmax_attention

BATCH, GROUPS, HEADS, LENGTH, WIDTH = 2, 2, 3, 5, 4


def plain(query, keys, values, mask, cap=None):
    query = query.reshape(BATCH, GROUPS, HEADS, LENGTH, WIDTH)
    scores = jnp.einsum("bkgtd,bksd->bkgts", query, keys)
    if cap is not None:
        scores = cap * jnp.tanh(scores / cap)
    weights = jax.nn.softmax(jnp.where(mask[:, None, None], scores, -1e30), axis=-1)
    return jnp.einsum("bkgts,bksd->bkgtd", weights, values).reshape(BATCH, GROUPS, -1, WIDTH)


def states(dtype=jnp.float32):
    sizes = [HEADS * LENGTH, LENGTH, LENGTH]
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = [(BATCH, GROUPS, size, WIDTH) for size in sizes]
    return [jax.random.normal(k, shape, dtype) for k, shape in zip(keys, shapes, strict=True)]


MASKS = {
    "causal": jnp.broadcast_to(jnp.tril(jnp.ones((LENGTH, LENGTH), bool)), (BATCH, LENGTH, LENGTH)),
    "padding": jnp.array([[[True, True, True, False, False]], [[True] * LENGTH]]),
    "nothing but padding": jnp.array([[[False] * LENGTH], [[True] * LENGTH]]),
}


@pytest.mark.parametrize(("name", "cap"), [*((name, None) for name in MASKS), ("causal", 1.5)])
def test_values_and_gradients_are_those_of_the_definition(name, cap):
    inputs, mask = states(), MASKS[name]
    value, pull = jax.vjp(lambda *each: softmax_attention(*each, mask, cap), *inputs)
    expected, plain_pull = jax.vjp(lambda *each: plain(*each, mask, cap), *inputs)
    np.testing.assert_allclose(value, expected, atol=1e-6)
    direction = jax.random.normal(jax.random.key(1), value.shape)
    for found, wanted in zip(pull(direction), plain_pull(direction), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_dtype_stays():
    inputs = states(jnp.bfloat16)
    value, pull = jax.vjp(lambda *each: softmax_attention(*each, MASKS["causal"]), *inputs)
    assert value.dtype == jnp.bfloat16
    assert all(each.dtype == jnp.bfloat16 for each in pull(value))
