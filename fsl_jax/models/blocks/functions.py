"""Functions inside a layer, with gradients that keep only the inputs.

By default, JAX keeps several arrays of the size of the activations for each function. In a scan
over layers, each of them is copied into a stack in the forward pass and out of it in the backward
pass. Unless a docstring says otherwise, a function computes in float32 and returns its input's
dtype.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_CUBIC = 0.044715  # the weight of x³ in the approximation of GELU


@jax.custom_vjp
def add_bias(x: Float[Array, "N D"], bias: Float[Array, " D"]) -> Float[Array, "N D"]:
    """Add a bias to each vector; both have the same dtype, in which the sum is computed.

    The gradient has a barrier: XLA would otherwise fuse the sum over vectors with the computation
    that the gradient comes from, and compute that twice.
    """
    return x + bias[None]


def _add_bias_backward(_, gradient):
    computed = jax.lax.optimization_barrier(gradient)
    return computed, jnp.sum(computed, 0)


add_bias.defvjp(lambda x, bias: (add_bias(x, bias), None), _add_bias_backward)


@jax.custom_vjp
def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Apply the exact GELU (https://arxiv.org/abs/1606.08415)."""
    x32 = x.astype(jnp.float32)
    return (x32 * _normal_cdf(x32)).astype(x.dtype)


def _gelu_backward(x, gradient):
    x32 = x.astype(jnp.float32)
    density = jnp.exp(-0.5 * x32 * x32) / math.sqrt(2 * math.pi)
    slope = _normal_cdf(x32) + x32 * density
    return ((gradient.astype(jnp.float32) * slope).astype(x.dtype),)


gelu.defvjp(lambda x: (gelu(x), x), _gelu_backward)


def _normal_cdf(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return 0.5 * (1 + jax.lax.erf(x * math.sqrt(0.5)))


@jax.custom_vjp
def tanh_gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Apply the tanh approximation of GELU (`gelu_new`, `gelu_pytorch_tanh`)."""
    x32 = x.astype(jnp.float32)
    return (0.5 * x32 * (1 + _tanh_of_cubic(x32))).astype(x.dtype)


def _tanh_gelu_backward(x, gradient):
    x32 = x.astype(jnp.float32)
    tanh = _tanh_of_cubic(x32)
    inner_slope = math.sqrt(2 / math.pi) * (1 + 3 * _CUBIC * x32 * x32)
    slope = 0.5 * (1 + tanh) + 0.5 * x32 * (1 - tanh * tanh) * inner_slope
    return ((gradient.astype(jnp.float32) * slope).astype(x.dtype),)


tanh_gelu.defvjp(lambda x: (tanh_gelu(x), x), _tanh_gelu_backward)


def _tanh_of_cubic(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jnp.tanh(math.sqrt(2 / math.pi) * (x + _CUBIC * x * x * x))


@jax.custom_vjp
def gated_silu(gate: Float[Array, "*shape"], up: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return the product of `up` and SiLU of `gate` (https://arxiv.org/abs/2002.05202)."""
    product = jax.nn.silu(gate.astype(jnp.float32)) * up.astype(jnp.float32)
    return product.astype(up.dtype)


def _gated_silu_backward(kept, gradient):
    gate, up = (each.astype(jnp.float32) for each in kept)
    gradient = gradient.astype(jnp.float32)
    sigmoid = jax.nn.sigmoid(gate)
    to_gate = gradient * up * (sigmoid * (1 + gate * (1 - sigmoid)))
    to_up = gradient * (gate * sigmoid)
    return to_gate.astype(kept[0].dtype), to_up.astype(kept[1].dtype)


gated_silu.defvjp(lambda gate, up: (gated_silu(gate, up), (gate, up)), _gated_silu_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def layer_norm(
    x: Float[Array, "B T D"], scale: Float[Array, " D"], bias: Float[Array, " D"], epsilon: float
) -> Float[Array, "B T D"]:
    """Normalise vectors to mean 0 and variance 1, times a float32 scale, plus a float32 bias."""
    return _layer_norm_forward(x, scale, bias, epsilon)[0]


def _layer_norm_forward(x, scale, bias, epsilon):
    x32 = x.astype(jnp.float32)
    mean = jnp.mean(x32, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(x32 - mean), axis=-1, keepdims=True)
    inverse = jax.lax.rsqrt(variance + epsilon)
    y = (x32 - mean) * inverse * scale[None, None] + bias[None, None]
    return y.astype(x.dtype), (x, mean, inverse, scale)


def _layer_norm_backward(epsilon, kept, gradient):
    x, mean, inverse, scale = kept
    gradient = gradient.astype(jnp.float32)
    normed = (x.astype(jnp.float32) - mean) * inverse
    scaled = gradient * scale[None, None]
    along = normed * jnp.mean(scaled * normed, axis=-1, keepdims=True)
    to_x = (scaled - jnp.mean(scaled, axis=-1, keepdims=True) - along) * inverse
    axes = (0, 1)
    return to_x.astype(x.dtype), jnp.sum(gradient * normed, axes), jnp.sum(gradient, axes)


layer_norm.defvjp(_layer_norm_forward, _layer_norm_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def rms_norm(
    x: Float[Array, "B T D"], scale: Float[Array, " D"], epsilon: float
) -> Float[Array, "B T D"]:
    """Normalise vectors to mean square 1, times a float32 scale."""
    return _rms_norm_forward(x, scale, epsilon)[0]


def _rms_norm_forward(x, scale, epsilon):
    x32 = x.astype(jnp.float32)
    inverse = jax.lax.rsqrt(jnp.mean(x32 * x32, axis=-1, keepdims=True) + epsilon)
    return (x32 * inverse * scale[None, None]).astype(x.dtype), (x, inverse, scale)


def _rms_norm_backward(epsilon, kept, gradient):
    x, inverse, scale = kept
    gradient = gradient.astype(jnp.float32)
    normed = x.astype(jnp.float32) * inverse
    scaled = gradient * scale[None, None]
    along = normed * jnp.mean(scaled * normed, axis=-1, keepdims=True)
    return ((scaled - along) * inverse).astype(x.dtype), jnp.sum(gradient * normed, (0, 1))


rms_norm.defvjp(_rms_norm_forward, _rms_norm_backward)
