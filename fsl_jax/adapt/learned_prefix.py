"""The leaves of a learned prefix, which several methods train or compute.

In every stack of layers there are, beside the attention's weights, `prefix_key [L, P, W]`,
`prefix_value [L, P, W]` and `prefix_mask [L, P]`; W is the width of
all key heads together.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError

PREFIX = "layers/attention/prefix_(key|value)$"
PREFIX_SETTINGS = "layers/attention/prefix_mask$"

Pair = tuple[Float[Array, "L P W"], Float[Array, "L P W"]]

_STACKS = ("layers", "top_layers")


def prefix_shapes(params: Params, name: str) -> dict[str, tuple[int, int]]:
    """What a prefix of a model needs to be.

    Args:
      params: the parameter tree.
      name: of the method, for errors.

    Returns:
      For each stack of layers `(L, W)`, by its name.

    Raises:
      InputError: the model is an encoder-decoder, or it has a prefix already.
    """
    if "layers" not in params:
        raise InputError(
            f"{name} puts keys and values before those of one stack of layers, and an "
            "encoder-decoder has two: choose another method, such as lora"
        )
    stacks = {stack: params[stack]["attention"] for stack in _STACKS if stack in params}
    if any("prefix_mask" in attention for attention in stacks.values()):
        raise InputError(f"{name} cannot be added: the parameters have a prefix already")
    kernels = {stack: attention["key"]["kernel"] for stack, attention in stacks.items()}
    return {stack: (kernel.shape[0], kernel.shape[2]) for stack, kernel in kernels.items()}


def with_mask(params: Params, shapes: dict[str, tuple[int, int]], length: int) -> Params:
    """The parameters with masks of a prefix that has no padding."""
    return with_leaves(
        params,
        {
            stack: {"prefix_mask": jnp.ones((layers, length), jnp.float32)}
            for stack, (layers, _) in shapes.items()
        },
    )


def with_prefix(params: Params, prefix: dict[str, Pair]) -> Params:
    """The parameters with keys and values, by the name of the stack."""
    return with_leaves(
        params,
        {
            stack: {"prefix_key": keys, "prefix_value": values}
            for stack, (keys, values) in prefix.items()
        },
    )


def with_leaves(params: Params, leaves: dict[str, dict[str, jax.Array]]) -> Params:
    """The parameters with leaves beside the weights of the attention, by the name of the stack."""
    for stack, added in leaves.items():
        layers = params.get(stack, {})
        attention = layers.get("attention", {}) | added
        params = params | {stack: layers | {"attention": attention}}
    return params
