"""The leaves of a learned prefix, which several methods train or compute.

In every stack of layers there are, beside the attention's weights, `prefix_key [L, P, W]`,
`prefix_value [L, P, W]` and `prefix_mask [L, P]`; W is the width of
all key heads together. Of an encoder-decoder they are in the decoder's own attention alone, as in
PEFT: its encoder stays as it is.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError

PREFIX = "layers/attention/prefix_(key|value)$"
PREFIX_FROZEN = "layers/attention/prefix_mask$"

Pair = tuple[Float[Array, "L P W"], Float[Array, "L P W"]]

_STACKS = {
    "layers": ("layers",),
    "top_layers": ("top_layers",),
    "decoder": ("decoder", "layers"),
    "decoder_top": ("decoder", "top_layers"),
}
"""Where the stacks are in the tree that a prefix may be in, by the names that they go by here."""


def prefix_shapes(params: Params, name: str) -> dict[str, tuple[int, int]]:
    """What a prefix of a model needs to be.

    Args:
      params: the parameter tree.
      name: of the method, for errors.

    Returns:
      For each stack of layers `(L, W)`, by its name.

    Raises:
      InputError: the model has a prefix already, or it is an encoder-decoder without its decoder.
    """
    found = {stack: _at(params, place) for stack, place in _STACKS.items()}
    stacks = {stack: layers["attention"] for stack, layers in found.items() if layers}
    if not stacks:
        raise InputError(
            f"{name} puts keys and values into an encoder-decoder's decoder, and this model was "
            "loaded with a head, without its decoder: load it without a head, or choose another "
            "method, such as prompt_tuning or lora"
        )
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
        params = _with(params, (*_STACKS[stack], "attention"), added)
    return params


def _at(params: Params, place: Sequence[str]) -> Params:
    """The part of the tree at a place; an empty one where there is none."""
    for name in place:
        params = params.get(name, {})
    return params


def _with(params: Params, place: Sequence[str], leaves: dict[str, jax.Array]) -> Params:
    """The tree with leaves added to the part at a place."""
    if not place:
        return params | leaves
    first, *rest = place
    return params | {first: _with(params.get(first, {}), rest, leaves)}
