"""Bottleneck adapters beside or after the parts of a layer."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.models.blocks.functions import gelu
from fsl_jax.models.outputs import Params

BOTTLENECK_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "gelu": gelu,
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
}
"""The activations of a `Bottleneck`. Each maps zero to zero, so that padding adds nothing."""


class Bottleneck(nn.Module):
    """Adds the outputs of all bottleneck adapters that are present.

    Added leaves, in a group named after its input and its activation, such as `sequential_relu` or
    `parallel_gelu` (https://arxiv.org/abs/1902.00751 and 2110.04366):
      down `[D, R]`, down_bias `[R]`, up `[R, D]`, up_bias `[D]`, scale `[]`: the update
        `(activation(z @ down + down_bias) @ up + up_bias) * scale`.
    """

    @nn.compact
    def __call__(self, y: Float[Array, "B T D"], x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Return the output `y` of a sublayer, whose input was `x`, with all updates."""
        updated = y
        for order, read in (("sequential", y), ("parallel", x)):
            for name, activation in BOTTLENECK_ACTIVATIONS.items():
                if self.has_variable("params", f"{order}_{name}"):
                    leaves: Params = self.get_variable("params", f"{order}_{name}")
                    updated += self._update(leaves, activation, read)
        return updated

    def _update(
        self, leaves: Params, activation: Callable[[Array], Array], z: Float[Array, "B T D"]
    ) -> Float[Array, "B T D"]:
        cast = {name: leaf.astype(z.dtype) for name, leaf in leaves.items()}
        inner = z.reshape(-1, z.shape[-1]) @ cast["down"] + cast["down_bias"][None]
        y = activation(inner) @ cast["up"] + cast["up_bias"][None]
        return (y * cast["scale"]).reshape(z.shape)
