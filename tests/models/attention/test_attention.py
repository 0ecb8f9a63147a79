import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.attention import attention
from fsl_jax.models.attention.attention import (
    attend,
    causal_mask,
    require_positions,
    token_positions,
)

BATCH, LENGTH, HEADS, GROUPS, WIDTH = 2, 5, 4, 2, 8


@pytest.fixture
def states():
    """Queries, keys and values, and keys and values of a prefix of 3 tokens with batch 1."""
    sizes = [(BATCH, LENGTH, HEADS), (BATCH, LENGTH, GROUPS), (BATCH, LENGTH, GROUPS)]
    sizes += [(1, 3, GROUPS), (1, 3, GROUPS)]
    keys = jax.random.split(jax.random.key(0), len(sizes))
    return [jax.random.normal(key, (*size, WIDTH)) for key, size in zip(keys, sizes, strict=True)]


def reference(query, keys, values, mask):
    """Attention written out in NumPy, one head and one query at a time."""
    output = np.zeros((*query.shape[:2], HEADS, WIDTH))
    for row, token, head in np.ndindex(BATCH, LENGTH, HEADS):
        group = head // (HEADS // GROUPS)
        seen = np.asarray(mask)[row, token]
        scores = np.asarray(keys)[row, seen, group] @ np.asarray(query)[row, token, head]
        weights = np.exp(scores / np.sqrt(WIDTH))
        output[row, token, head] = weights / weights.sum() @ np.asarray(values)[row, seen, group]
    return output.reshape(BATCH, LENGTH, HEADS * WIDTH)


def test_grouped_heads_attend_to_what_the_mask_shows(states):
    query, keys, values = states[:3]
    mask = causal_mask(jnp.array([[True] * 5, [False, True, True, True, True]]))
    expected = reference(query, keys, values, mask | jnp.eye(LENGTH, dtype=bool)[None])
    output = attend(query, keys, values, mask | jnp.eye(LENGTH, dtype=bool)[None])
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_a_mask_for_all_queries_is_the_same_as_one_for_each(states):
    query, keys, values = states[:3]
    mask = jnp.array([[[True, True, False, True, False]], [[True, False, True, True, True]]])
    each = jnp.broadcast_to(mask, (BATCH, LENGTH, LENGTH))
    np.testing.assert_allclose(
        attend(query, keys, values, mask), attend(query, keys, values, each), atol=1e-6
    )


@pytest.mark.parametrize("batch", [1, BATCH])
def test_a_prefix_is_attended_to_as_if_it_were_in_the_keys(states, batch):
    query, keys, values, *prefix = states
    prefix = [jnp.tile(each, (batch, 1, 1, 1)) for each in prefix]
    own = causal_mask(jnp.ones((BATCH, LENGTH), bool))
    mask = jnp.concatenate([jnp.ones((BATCH, LENGTH, 3), bool), own], axis=-1)
    rows = [jnp.tile(each, (BATCH // batch, 1, 1, 1)) for each in prefix]
    joined = [jnp.concatenate(pair, axis=1) for pair in zip(rows, (keys, values), strict=True)]
    expected = reference(query, *joined, mask)
    output = attend(query, keys, values, mask, tuple(prefix))
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_one_token_attends_to_its_prefix_alike_on_every_platform(states, monkeypatch):
    query, keys, values, *prefix = states
    one = [each[:, :1] for each in (query, keys, values)]
    rows = tuple(jnp.tile(each, (BATCH, 1, 1, 1)) for each in prefix)
    mask = jnp.array([[[True, False, True, True]], [[False, False, False, True]]])

    def compute():
        jaxpr = jax.make_jaxpr(lambda *inputs: attend(*inputs, mask, rows, cap=2.0))(*one)
        return attend(*one, mask, rows, cap=2.0), "dot_general" in str(jaxpr)

    found, has_products = compute()
    monkeypatch.setattr(attention, "target_platform", lambda: "gpu")
    expected, has_products_elsewhere = compute()
    assert (has_products, has_products_elsewhere) == (False, True)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_shared_prefix_is_not_copied_for_each_row():
    rows, length, width = 16, 512, 64
    query = jnp.ones((rows, 1, HEADS, width))
    own = jnp.ones((rows, 1, GROUPS, width))
    prefix = jnp.ones((1, length, GROUPS, width))
    mask = jnp.ones((rows, 1, length + 1), bool)
    compiled = jax.jit(lambda *a: attend(a[0], a[1], a[1], mask, (a[2], a[2]))).lower(
        query, own, prefix
    )
    assert compiled.compile().memory_analysis().temp_size_in_bytes < rows * prefix.nbytes / 4


def test_rows_of_padding_alone_are_finite_and_so_are_gradients(states):
    query, keys, values = states[:3]
    mask = causal_mask(jnp.zeros((BATCH, LENGTH), bool))

    def total(*inputs):
        return jnp.sum(attend(*inputs, mask))

    output, gradients = jax.value_and_grad(total, argnums=(0, 1, 2))(query, keys, values)
    assert jnp.isfinite(output)
    assert all(jnp.all(jnp.isfinite(gradient)) for gradient in gradients)


def test_positions_count_real_tokens_wherever_the_padding_is():
    mask = jnp.array([[True, True, True, False], [False, False, True, True], [False] * 4])
    expected = [[0, 1, 2, 2], [0, 0, 0, 1], [0, 0, 0, 0]]
    np.testing.assert_array_equal(token_positions(mask), expected)


def test_a_mask_of_pairs_needs_positions():
    with pytest.raises(InputError, match="position_ids"):
        require_positions(jnp.ones((1, 2, 2), bool))
