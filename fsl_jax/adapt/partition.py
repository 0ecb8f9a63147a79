"""The two halves of the parameters: trainable and frozen.

Only the trainable half is differentiated, so only its leaves have gradients and optimiser state. A
leaf that is absent from a half is `None`, which JAX's tree functions skip.
"""

from typing import Any

import jax

from fsl_jax.adapt.tree import Params


def partition(params: Params, mask: Any) -> tuple[Params, Params]:
    """Split the parameters in two by a mask.

    Args:
      params: the parameter tree. A leaf that is already `None` stays `None` in both halves.
      mask: a tree of booleans of the same structure, True where a leaf is in the first half.

    Returns:
      `(trainable, frozen)`: two trees of the structure of `params` in which each leaf is present in
      one and `None` in the other.
    """
    first = jax.tree.map(
        lambda leaf, chosen: leaf if chosen else None, params, mask, is_leaf=_absent
    )
    rest = jax.tree.map(
        lambda leaf, chosen: None if chosen else leaf, params, mask, is_leaf=_absent
    )
    return first, rest


def combine(*parts: Params) -> Params:
    """Join the parts that `partition` made.

    The model refuses the result if the method trains its leaves in another form than the model
    reads. `fsl_jax.adapt.adapted` works with every method.

    Args:
      *parts: trees of one structure; at each path exactly one of them has a leaf.

    Returns:
      The whole tree.

    Raises:
      ValueError: a path has no leaf in any part, or leaves in several.
    """
    return jax.tree.map(_the_one_leaf, *parts, is_leaf=_absent)


def _the_one_leaf(*leaves: Any) -> Any:
    present = [leaf for leaf in leaves if leaf is not None]
    if len(present) != 1:
        raise ValueError(f"expected one leaf at each path of the parts, found {len(present)}")
    return present[0]


def _absent(leaf: Any) -> bool:
    return leaf is None
