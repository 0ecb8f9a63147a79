"""Kinds of leaves that a method's `reparametrize` reads, and the model does not.

A layer ignores leaves that it does not know. So a forgotten `reparametrize` would go unnoticed: the
model would run without the adaptation, and its gradients would be zero. Each subclass of
`fsl_jax.adapt.methods.method.Method` declares such leaves here, and the model refuses them.
"""

import dataclasses
import re
from collections.abc import Collection, Iterable

from flax.traverse_util import flatten_dict

from fsl_jax.errors import problems_error
from fsl_jax.models.outputs import Params

REPARAMETRIZE_FIRST = "apply the method's `reparametrize` first"


@dataclasses.dataclass(frozen=True)
class IntermediateLeaf:
    """A kind of leaf from which `reparametrize` makes the leaves that the model reads.

    Attributes:
      pattern: a regular expression, searched for in the path.
      neutral: the value from which `reparametrize` makes leaves that change nothing. A row of a
        batch without an adapter gets this value.
      made: for a kind that stays in the tree, the name of the added leaf that `reparametrize` puts
        into the same layer. Once that leaf exists, this one is ignored. Empty for a kind that
        `reparametrize` removes.
      reason: a sentence for users that says why the leaf cannot be merged before `reparametrize`.
    """

    pattern: str
    neutral: float
    made: str = ""
    reason: str = REPARAMETRIZE_FIRST


_DECLARED: list[IntermediateLeaf] = []


def declare(kinds: Iterable[IntermediateLeaf]) -> None:
    """Add the kinds of a method to those that the model refuses."""
    _DECLARED.extend(kind for kind in kinds if kind not in _DECLARED)


def find_intermediate_leaf(path: str) -> IntermediateLeaf | None:
    """Return the kind of a leaf that only some method's `reparametrize` reads.

    Args:
      path: the path of the leaf in the whole tree.

    Returns:
      The kind that the method's class declares; None if no method declares one.
    """
    return next((kind for kind in _DECLARED if re.search(kind.pattern, path)), None)


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


def require_reparametrized(params: Params) -> None:
    """Raise an error for leaves that the model would ignore because `reparametrize` is missing.

    Args:
      params: the whole tree; leaves may be None.

    Raises:
      InputError: there are such leaves; the error lists all.
    """
    paths = {path for path, leaf in flatten_dict(params, sep="/").items() if leaf is not None}
    problems = [
        path
        for path in sorted(paths)
        if (kind := find_intermediate_leaf(path)) and not is_replaced(path, kind, paths)
    ]
    if problems:
        raise problems_error(
            "the model would ignore these parameters, which a method trains in a form of its own. "
            "Use `adapted(method, trainable, frozen)` of fsl_jax.adapt in place of `combine`, or "
            "give the result of `method.reparametrize`:",
            problems,
        )
