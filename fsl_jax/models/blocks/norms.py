"""Normalisations. They compute in float32 and return the dtype of the activations."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.models.blocks.functions import layer_norm, rms_norm


class LayerNorm(nn.Module):
    """Layer normalisation over the last axis, in float32 (https://arxiv.org/abs/1607.06450)."""

    epsilon: float

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Normalise each vector of `[B, T, D]`."""
        width = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, width).astype(jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, width).astype(jnp.float32)
        return layer_norm(x, scale, bias, self.epsilon)


class RMSNorm(nn.Module):
    """Root-mean-square normalisation, in float32 (https://arxiv.org/abs/1910.07467).

    Attributes:
      epsilon: added to the mean square.
      offset: added to the leaf `scale` before the product.
    """

    epsilon: float
    offset: float = 0.0

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Normalise each vector of `[B, T, D]`."""
        initial = nn.initializers.constant(1 - self.offset)
        scale = self.param("scale", initial, x.shape[-1:]).astype(jnp.float32)
        if self.offset:
            scale += self.offset
        return rms_norm(x, scale, self.epsilon)
