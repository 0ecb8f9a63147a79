"""The linear layers that a method adapts."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fsl_jax.adapt.parts.patterns import dense_layers
from fsl_jax.errors import InputError, problems_error


def target_layers(setting: str, pattern: str, paths: Iterable[str]) -> list[str]:
    """The linear layers that a setting names.

    Args:
      setting: what the setting is called, for the error: "lora's targets".
      pattern: a regular expression, searched for in the path of each linear layer.
      paths: of all leaves of a parameter tree.

    Returns:
      The paths of the layers: `layers/attention/query`.

    Raises:
      InputError: there are none; the error lists all layers.
    """
    layers = dense_layers(paths)
    chosen = [layer for layer in layers if re.search(pattern, layer)]
    if not chosen:
        raise InputError(
            f"{setting} {pattern!r} match none of the layers:\n  " + "\n  ".join(layers)
        )
    return chosen


def low_rank_targets(name: str, pattern: str, leaves: Mapping[str, Any]) -> list[str]:
    """The linear layers to which a method adds a low-rank update; each has room for one.

    Args:
      name: of the method, for the error.
      pattern: a regular expression, searched for in the path of each linear layer.
      leaves: all leaves of a parameter tree, by path.

    Returns:
      The paths of the layers.

    Raises:
      InputError: there are none, or some have such an update already; the error lists them.
    """
    chosen = target_layers(f"{name}'s targets", pattern, leaves)
    if taken := [path for path in chosen if {f"{path}/lora_a", f"{path}/vera_d"} & leaves.keys()]:
        raise problems_error(
            f"{name} cannot be added: these layers have a low-rank update already:", taken
        )
    return chosen
