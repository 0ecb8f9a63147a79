"""The kinds of leaves in a tree whose method is unknown, from the model's table and all methods."""

import re
from collections.abc import Collection, Iterable

from fsl_jax.errors import InputError
from fsl_jax.models.blocks.added_leaves import find_added_leaf, unknown_leaf
from fsl_jax.models.blocks.intermediate_leaves import find_intermediate_leaf


def is_known(path: str) -> bool:
    """Tell whether an added leaf is in the model's table or declared by a method."""
    return bool(find_intermediate_leaf(path) or find_added_leaf(path))


def neutral_leaf_value(path: str) -> float:
    """Return the value with which an added leaf, intermediate or not, changes nothing.

    Args:
      path: the path of the leaf in the whole tree.

    Returns:
      The value, which every element of the leaf has.

    Raises:
      InputError: the kind of leaf is unknown.
    """
    kind = find_intermediate_leaf(path) or find_added_leaf(path)
    if kind is None:
        raise InputError(unknown_leaf(path))
    return kind.neutral


def added_paths(paths: Iterable[str], base: Collection[str]) -> list[str]:
    """Return the paths that were added to a base model, including those of a task head.

    Args:
      paths: the paths of an extended tree, whose stack of layers may be cut in two.
      base: the paths of the base, whose stack is whole.

    Returns:
      The paths that the base lacks.
    """
    return [path for path in paths if re.sub("(^|/)top_layers/", r"\1layers/", path) not in base]
