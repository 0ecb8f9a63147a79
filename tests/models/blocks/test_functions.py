"""The written-out gradients are those that JAX works out from the plain definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.blocks.functions import (
    add_bias,
    gated_silu,
    gelu,
    layer_norm,
    rms_norm,
    tanh_gelu,
)

EPSILON = 1e-5


def plain_layer_norm(x, scale, bias):
    centred = x - x.mean(axis=-1, keepdims=True)
    normed = centred / jnp.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
    return normed * scale[None, None] + bias[None, None]


def plain_rms_norm(x, scale):
    return x / jnp.sqrt((x**2).mean(axis=-1, keepdims=True) + EPSILON) * scale[None, None]


PAIRS = {
    "add_bias": (add_bias, lambda x, bias: x + bias[None], [(6, 8), (8,)]),
    "gelu": (gelu, lambda x: jax.nn.gelu(x, approximate=False), [(2, 3, 8)]),
    "tanh_gelu": (tanh_gelu, lambda x: jax.nn.gelu(x, approximate=True), [(2, 3, 8)]),
    "gated_silu": (gated_silu, lambda gate, up: jax.nn.silu(gate) * up, [(2, 3, 8)] * 2),
    "layer_norm": (
        lambda x, scale, bias: layer_norm(x, scale, bias, EPSILON),
        plain_layer_norm,
        [(2, 3, 8), (8,), (8,)],
    ),
    "rms_norm": (lambda x, scale: rms_norm(x, scale, EPSILON), plain_rms_norm, [(2, 3, 8), (8,)]),
}


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_gradients_are_those_of_the_definition(name):
    function, plain, shapes = PAIRS[name]
    keys = jax.random.split(jax.random.key(0), len(shapes))
    inputs = [2 * jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)]
    value, pull = jax.vjp(function, *inputs)
    expected, plain_pull = jax.vjp(plain, *inputs)
    np.testing.assert_allclose(value, expected, atol=1e-6, rtol=1e-5)
    direction = jax.random.normal(jax.random.key(1), value.shape)
    for found, wanted in zip(pull(direction), plain_pull(direction), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "function", [gelu, tanh_gelu, lambda x: gated_silu(x, x), lambda x: add_bias(x, x[0])]
)
def test_the_dtype_stays(function):
    x = jnp.ones((2, 3), jnp.bfloat16)
    value, pull = jax.vjp(function, x)
    assert value.dtype == pull(value)[0].dtype == jnp.bfloat16
