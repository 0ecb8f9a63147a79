"""A stack of layers in two sections, `layers` and `top_layers`, with a scan of its own for each.

They are at the top of the parameter tree, or in an encoder-decoder's decoder.
"""

import jax
import jax.numpy as jnp

from fsl_jax.models.blocks.stack import depth
from fsl_jax.models.outputs import Params


def cut_sections(params: Params, below: int) -> Params:
    """A part of the tree whose `layers` are cut.

    Args:
      params: with `layers`, whose leaves are `[L, ...]`.
      below: how many layers stay in `layers`; the others go to `top_layers`.

    Returns:
      The part with both sections.
    """
    return params | {
        "layers": jax.tree.map(lambda stack: stack[:below], params["layers"]),
        "top_layers": jax.tree.map(lambda stack: stack[below:], params["layers"]),
    }


def join_sections(params: Params) -> Params:
    """The tree with the two sections of a stack of layers as one, wherever it was cut."""
    whole = {
        name: join_sections(part) if isinstance(part, dict) else part
        for name, part in params.items()
    }
    if (top := whole.pop("top_layers", None)) is not None:
        stacks = whole["layers"], top
        whole["layers"] = jax.tree.map(lambda *both: jnp.concatenate(both), *stacks)
    return whole


def cut_like(params: Params, other: Params) -> Params:
    """The tree with its stacks of layers cut where those of another tree are."""
    cut = {
        name: cut_like(part, other.get(name, {})) if isinstance(part, dict) else part
        for name, part in params.items()
    }
    return cut_sections(cut, depth(other["layers"])) if "top_layers" in other else cut
