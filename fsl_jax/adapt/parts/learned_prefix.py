"""The leaves of a learned prefix, which several methods train or compute.

Every stack of layers has `prefix_key [L, P, W]`, `prefix_value [L, P, W]` and `prefix_mask [L, P]`
beside the attention's weights; W is the total width of all key heads. In an encoder-decoder only
the decoder's self-attention has them, as in PEFT.
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
"""The paths of the stacks that may have a prefix, by their names in this file."""


def prefix_shapes(params: Params, name: str) -> dict[str, tuple[int, int]]:
    """Return the sizes that a prefix has in a model.

    Args:
      params: the parameter tree.
      name: the name of the method, for errors.

    Returns:
      For each stack of layers `(L, W)`, by its name.

    Raises:
      InputError: the model already has a prefix, or it is an encoder-decoder without its decoder.
    """
    parts = {stack: _at(params, path) for stack, path in _STACKS.items()}
    stacks = {stack: layers["attention"] for stack, layers in parts.items() if layers}
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
    """Return the parameters with prefix masks for a prefix without padding."""
    return with_leaves(
        params,
        {
            stack: {"prefix_mask": jnp.ones((layers, length), jnp.float32)}
            for stack, (layers, _) in shapes.items()
        },
    )


def with_prefix(params: Params, prefix: dict[str, Pair]) -> Params:
    """Return the parameters with a prefix, given as keys and values by the name of the stack."""
    return with_leaves(
        params,
        {
            stack: {"prefix_key": keys, "prefix_value": values}
            for stack, (keys, values) in prefix.items()
        },
    )


def with_leaves(params: Params, leaves: dict[str, dict[str, jax.Array]]) -> Params:
    """Add leaves beside the weights of the attention, by the name of the stack."""
    for stack, added in leaves.items():
        params = _with(params, (*_STACKS[stack], "attention"), added)
    return params


def _at(params: Params, path: Sequence[str]) -> Params:
    """Return the subtree at a path, or an empty dict if there is none."""
    for name in path:
        params = params.get(name, {})
    return params


def _with(params: Params, path: Sequence[str], leaves: dict[str, jax.Array]) -> Params:
    """Return the tree with leaves added to the subtree at a path."""
    if not path:
        return params | leaves
    first, *rest = path
    return params | {first: _with(params.get(first, {}), rest, leaves)}
