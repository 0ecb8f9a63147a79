"""Cut stacked layers into two sections, `layers` and `top_layers`, each with its own scan.

The sections are at the top of the parameter tree, or in the decoder of an encoder-decoder.
"""

import jax
import jax.numpy as jnp

from fsl_jax.models.blocks.stack import depth
from fsl_jax.models.outputs import Params


def cut_sections(params: Params, below: int) -> Params:
    """Cut the `layers` of a tree into two sections.

    Args:
      params: a tree with `layers`, whose leaves are `[L, ...]`.
      below: the number of layers that stay in `layers`; the others go to `top_layers`.

    Returns:
      The tree with both sections.
    """
    return params | {
        "layers": jax.tree.map(lambda stack: stack[:below], params["layers"]),
        "top_layers": jax.tree.map(lambda stack: stack[below:], params["layers"]),
    }


def join_sections(params: Params) -> Params:
    """Join `layers` and `top_layers` wherever a tree has both."""
    joined = {
        name: join_sections(part) if isinstance(part, dict) else part
        for name, part in params.items()
    }
    if (top := joined.pop("top_layers", None)) is not None:
        stacks = joined["layers"], top
        joined["layers"] = jax.tree.map(lambda *both: jnp.concatenate(both), *stacks)
    return joined


def cut_like(params: Params, other: Params) -> Params:
    """Cut the stacked layers of a tree at the same depths as another tree."""
    cut = {
        name: cut_like(part, other.get(name, {})) if isinstance(part, dict) else part
        for name, part in params.items()
    }
    return cut_sections(cut, depth(other["layers"])) if "top_layers" in other else cut
