"""Linear layers of the small networks with which methods compute leaves."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params, key_of


def draw_linear(
    key: jax.Array,
    path: str,
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
    fan_in: int | None = None,
) -> Params:
    """Draw the leaves of a linear layer uniformly, up to one over the root of the input count.

    Args:
      key: a threefry key of the whole draw.
      path: the path of the layer, from which its own key is derived.
      inputs: the shape of the input.
      outputs: the shape of the output.
      fan_in: the number of inputs that sets the bounds; by default the size of `inputs`.

    Returns:
      `kernel [*inputs, *outputs]` and `bias [*outputs]`, float32.
    """
    bound = 1 / math.sqrt(fan_in or math.prod(inputs))

    def draw(name: str, shape: tuple[int, ...]) -> jax.Array:
        leaf_key = key_of(key, f"{path}/{name}")
        return jax.random.uniform(leaf_key, shape, jnp.float32, -bound, bound)

    return {"kernel": draw("kernel", (*inputs, *outputs)), "bias": draw("bias", outputs)}


def linear(params: Params, x: Float[Array, " P *inputs"]) -> Float[Array, " P *outputs"]:
    """Apply the linear layer to each of P arrays."""
    flat = x.reshape(len(x), -1)
    bias = params["bias"]
    y = flat @ params["kernel"].reshape(flat.shape[1], bias.size) + bias.reshape(1, -1)
    return y.reshape(len(x), *bias.shape)
