"""Attention with a bias and a written-out gradient is the attention that JAX differentiates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.attention.biased_attention import Source, biased_attention

BATCH, HEADS, WIDTH, LENGTH = 3, 2, 4, 5


def plain(query, *sources):
    """One softmax over all keys, each repeated for every row."""
    scores, values = [], []
    for source in sources:
        keys, value = (jnp.repeat(each, BATCH // len(each), axis=0) for each in source[:2])
        score = jnp.einsum("bthd,bshd->bhts", query, keys)
        score += jnp.zeros((1, 1, 1, 1)) if source.bias is None else source.bias
        scores.append(jnp.where(source.mask[:, None], score, -1e30))
        values.append(value)
    weights = jax.nn.softmax(jnp.concatenate(scores, axis=-1), axis=-1)
    attended = jnp.einsum("bhts,bshd->bthd", weights, jnp.concatenate(values, axis=1))
    return attended.reshape(BATCH, LENGTH, -1)


def drawn(seed, *shape, dtype=jnp.float32):
    return jax.random.normal(jax.random.key(seed), shape, dtype)


def source(seed, rows, length, mask, bias_rows=None):
    """A source with random keys, values and bias."""
    shape = (rows, length, HEADS, WIDTH)
    bias = None if bias_rows is None else drawn(seed + 2, bias_rows, HEADS, LENGTH, length)
    return Source(drawn(seed, *shape), drawn(seed + 1, *shape), jnp.asarray(mask), bias)


CAUSAL = np.broadcast_to(np.tril(np.ones((LENGTH, LENGTH), bool)), (BATCH, LENGTH, LENGTH))
PADDED = np.arange(7)[None, None, :] < np.array([7, 2, 0])[:, None, None]
OWN = source(10, BATCH, LENGTH, CAUSAL, bias_rows=1)

SOURCES = {
    "a bias for all rows": [OWN],
    "a bias for each row": [source(20, BATCH, LENGTH, CAUSAL, bias_rows=BATCH)],
    "padding, and a row of nothing else": [source(30, BATCH, 7, PADDED)],
    "shared keys": [source(40, 1, 7, PADDED[:1])],
    "shared keys with a mask and a bias for each row": [source(50, 1, 7, PADDED, bias_rows=BATCH)],
    "a prefix": [OWN, source(60, BATCH, 7, PADDED, bias_rows=BATCH)],
    "a shared prefix": [OWN, source(70, 1, 7, PADDED, bias_rows=1)],
}


@pytest.mark.parametrize("name", SOURCES)
def test_values_and_gradients_are_those_of_the_definition(name):
    sources = SOURCES[name]
    masks = [each.mask for each in sources]
    direction = drawn(1, BATCH, LENGTH, HEADS * WIDTH)

    def pulled(attention, query, states):
        def run(query, states):
            given = [
                Source(*pair, mask, bias) for (*pair, bias), mask in zip(states, masks, strict=True)
            ]
            return attention(query, *given)

        value, pull = jax.vjp(run, query, states)
        return value, pull(direction)

    states = [(each.keys, each.values, each.bias) for each in sources]
    query = drawn(0, BATCH, LENGTH, HEADS, WIDTH)
    found, expected = jax.jit(
        lambda *inputs: (pulled(biased_attention, *inputs), pulled(plain, *inputs))
    )(query, states)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, expected)


def test_the_dtype_stays():
    query, keys, values = (drawn(n, BATCH, 5, HEADS, WIDTH, dtype=jnp.bfloat16) for n in range(3))
    own = Source(keys, values, jnp.asarray(CAUSAL), OWN.bias)

    def both(query, own):
        return biased_attention(query, own), biased_attention(query, own, own)

    def pulled(query, own):
        value, pull = jax.vjp(both, query, own)
        return value, pull(value)

    value, (to_query, to_own) = jax.eval_shape(pulled, query, own)
    assert {each.dtype for each in value} == {jnp.dtype(jnp.bfloat16)}
    assert {to_query.dtype, to_own.keys.dtype, to_own.values.dtype} == {jnp.dtype(jnp.bfloat16)}
    assert to_own.bias.dtype == jnp.float32
