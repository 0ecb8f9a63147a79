import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fsl_jax.compilation import peak_memory
from fsl_jax.formulations.objectives import token_losses

A, D, V = 300, 8, 5000


def plain(hidden, targets, unembed):
    return optax.losses.softmax_cross_entropy_with_integer_labels(unembed(hidden), targets)


def weighted(losses):
    """Make a weighted loss of hidden states and a kernel, and its gradients."""

    def loss(inputs, targets, weights):
        hidden, kernel = inputs
        each = losses(hidden, targets, lambda states: states @ kernel)
        return jnp.sum(each * weights), each

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


@pytest.fixture(scope="module")
def inputs():
    keys = jax.random.split(jax.random.key(0), 4)
    hidden, kernel = jax.random.normal(keys[0], (A, D)), jax.random.normal(keys[1], (D, V))
    targets = jax.random.randint(keys[2], (A,), 0, V, jnp.int32)
    return (hidden, kernel), targets, jax.random.uniform(keys[3], (A,))


@pytest.fixture(scope="module")
def expected(inputs):
    return weighted(plain)(*inputs)


@pytest.mark.parametrize("chunk", [64, 100, 1000])
def test_losses_and_gradients_are_those_of_all_places_at_once(inputs, expected, chunk):
    """The chunks fill the places or do not, or there is only one."""
    found = weighted(lambda *args: token_losses(*args, chunk=chunk))(*inputs)
    for ours, theirs in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_memory_does_not_grow_with_the_places():
    def peak(losses, places):
        shapes = [(places, D), (D, V), (places,), (places,)]
        hidden, kernel, targets, weights = (
            jax.ShapeDtypeStruct(shape, jnp.int32 if index == 2 else jnp.float32)
            for index, shape in enumerate(shapes)
        )
        return peak_memory(weighted(losses).lower((hidden, kernel), targets, weights).compile())

    def chunked(*args):
        return token_losses(*args, chunk=50)

    few, many = peak(chunked, 100), peak(chunked, 1000)
    assert many < 1.2 * few
    assert peak(plain, 1000) > 5 * many
