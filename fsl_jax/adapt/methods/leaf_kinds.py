"""The kinds of leaves in a tree whose method is unknown, from the model's table and all methods."""

import re
from collections.abc import Collection, Iterable, Iterator

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.parts.intermediate_leaf import IntermediateLeaf
from fsl_jax.errors import InputError
from fsl_jax.models.blocks.added_leaves import find_added_leaf, unknown_leaf


def find_intermediate_leaf(path: str) -> IntermediateLeaf | None:
    """Return the kind of a leaf that only some method's `reparametrize` reads.

    Args:
      path: the path of the leaf in the whole tree.

    Returns:
      The kind that the method's class declares; None if no method declares one.
    """
    return next((kind for kind in _declared(Method) if re.search(kind.pattern, path)), None)


def is_replaced(path: str, kind: IntermediateLeaf, paths: Collection[str]) -> bool:
    """Tell whether `reparametrize` has already replaced an intermediate leaf.

    Args:
      path: the path of the intermediate leaf.
      kind: its kind.
      paths: the paths of all leaves of the tree.

    Returns:
      True if the tree has the leaf that is made from it: in the same layer, or in any layer if all
      layers share the intermediate leaf.
    """
    if not kind.made:
        return False
    layer = path.rpartition("/")[0]
    if f"{layer}/kernel" in paths:
        return f"{layer}/{kind.made}" in paths
    return any(other.endswith(f"/{kind.made}") for other in paths)


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


def _declared(method: type[Method]) -> Iterator[IntermediateLeaf]:
    """List the kinds that the subclasses of a method declare."""
    for subclass in method.__subclasses__():
        yield from subclass.intermediate_leaves
        yield from _declared(subclass)
