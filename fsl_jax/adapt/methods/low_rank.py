"""The linear layers to which a method adds a low-rank update."""

from collections.abc import Mapping
from typing import Any

from fsl_jax.adapt.parts.targets import target_layers
from fsl_jax.errors import problems_error
from fsl_jax.models.blocks.added_leaves import Merging, find_added_leaf
from fsl_jax.models.blocks.intermediate_leaves import find_intermediate_leaf


def low_rank_targets(name: str, pattern: str, leaves: Mapping[str, Any]) -> list[str]:
    """Return the linear layers that get a low-rank update; a layer can have only one.

    Args:
      name: the name of the method, for the error.
      pattern: a regular expression, searched for in the path of each linear layer.
      leaves: all leaves of a parameter tree, by path.

    Returns:
      The paths of the layers.

    Raises:
      InputError: no layer matches, or some already have such an update; the error lists them.
    """
    chosen = target_layers(f"{name}'s targets", pattern, leaves)
    updated = {path.rpartition("/")[0] for path in leaves if _is_of_an_update(path)}
    if taken := [layer for layer in chosen if layer in updated]:
        raise problems_error(
            f"{name} cannot be added: these layers have a low-rank update already:", taken
        )
    return chosen


def _is_of_an_update(path: str) -> bool:
    """Tell whether a leaf belongs to a low-rank update, or is made into one by `reparametrize`."""
    intermediate = find_intermediate_leaf(path)
    if intermediate and intermediate.made:
        path = f"{path.rpartition('/')[0]}/{intermediate.made}"
    kind = find_added_leaf(path)
    return kind is not None and kind.merging is Merging.UPDATE
