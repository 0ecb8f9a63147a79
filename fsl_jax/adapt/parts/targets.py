"""The linear layers that a method adapts."""

from collections.abc import Iterable

from fsl_jax.adapt.parts.patterns import dense_layers, find
from fsl_jax.errors import InputError


def target_layers(setting: str, pattern: str, paths: Iterable[str]) -> list[str]:
    """Return the linear layers that a setting names.

    Args:
      setting: the name of the setting, for the error: "lora's targets".
      pattern: a regular expression, searched for in the path of each linear layer.
      paths: the paths of all leaves of a parameter tree.

    Returns:
      The paths of the layers: `layers/attention/query`.

    Raises:
      InputError: no layer matches; the error lists all layers.
    """
    layers = dense_layers(paths)
    chosen = [layer for layer in layers if find(pattern, layer)]
    if not chosen:
        raise InputError(
            f"{setting} {pattern!r} match none of the layers:\n  " + "\n  ".join(layers)
        )
    return chosen
