"""Matrix products are counted, in loops as often as they run."""

import jax
import jax.numpy as jnp
import pytest

from fsl_jax.operations import product_operations

X = jax.ShapeDtypeStruct((4, 8), jnp.float32)
W = jax.ShapeDtypeStruct((8, 8), jnp.float32)
ONE = 2 * 4 * 8 * 8


def scanned(x, w):
    return jax.lax.scan(lambda y, _: (y @ w, None), x, None, length=5)[0]


def branched(x, w):
    return jax.lax.cond(x[0, 0] > 0, lambda: x @ w @ w, lambda: x @ w)


@pytest.mark.parametrize(
    ("function", "products"),
    [
        (lambda x, w: x + 1, 0),
        (lambda x, w: jnp.tanh(x @ w) @ w, 2),
        (lambda x, w: ((x @ w), x)[1], 0),
        (scanned, 5),
        (jax.jit(scanned), 5),
        (branched, 2),
        (lambda x, w: jax.vmap(lambda row: row @ w)(x), 1),
        (jax.grad(lambda x, w: jnp.sum(jnp.square(x @ w))), 2),
        (jax.checkpoint(lambda x, w: x @ w), 1),
    ],
)
def test_products_are_counted_as_often_as_they_run(function, products):
    assert product_operations(function, X, W) == products * ONE


def test_a_batched_product_counts_every_matrix_of_the_batch():
    many = jax.ShapeDtypeStruct((3, 4, 8), jnp.float32)
    other = jax.ShapeDtypeStruct((3, 8, 2), jnp.float32)
    assert product_operations(jnp.matmul, many, other) == 2 * 3 * 4 * 8 * 2
