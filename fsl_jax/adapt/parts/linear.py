"""Linear maps of the small networks that methods compute leaves with."""

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
    """A linear map's leaves, drawn uniformly up to one over the root of how many numbers come in.

    Args:
      key: a threefry key of the whole draw.
      path: of the map, by which it draws its own numbers.
      inputs: the shape of what comes in.
      outputs: the shape of what goes out.
      fan_in: how many numbers it is drawn for, if not those of `inputs`.

    Returns:
      `kernel [*inputs, *outputs]` and `bias [*outputs]`, float32.
    """
    bound = 1 / math.sqrt(fan_in or math.prod(inputs))

    def draw(name: str, shape: tuple[int, ...]) -> jax.Array:
        own = key_of(key, f"{path}/{name}")
        return jax.random.uniform(own, shape, jnp.float32, -bound, bound)

    return {"kernel": draw("kernel", (*inputs, *outputs)), "bias": draw("bias", outputs)}


def linear(params: Params, x: Float[Array, " P *inputs"]) -> Float[Array, " P *outputs"]:
    """Maps each of P arrays."""
    flat = x.reshape(len(x), -1)
    bias = params["bias"]
    y = flat @ params["kernel"].reshape(flat.shape[1], bias.size) + bias.reshape(1, -1)
    return y.reshape(len(x), *bias.shape)
