"""The regular expressions in the settings of methods."""

import re
from collections.abc import Iterable

from fsl_jax.errors import InputError


def require_pattern(setting: str, pattern: str) -> None:
    """Raise an error unless a setting is a regular expression.

    Args:
      setting: the name of the setting, for the error: "ia3's inputs".
      pattern: its value.

    Raises:
      InputError: the value is not a regular expression.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise InputError(f"{setting} {pattern!r} are no regular expression: {error}") from error


def dense_layers(paths: Iterable[str]) -> list[str]:
    """Return the paths of a model's linear layers, except those of a task head.

    Args:
      paths: the paths of all leaves of a parameter tree.

    Returns:
      The paths of the parents of kernels: `layers/attention/query`.
    """
    parents = (path.removesuffix("/kernel") for path in paths if path.endswith("/kernel"))
    return [parent for parent in parents if parent not in ("head", "unembedding")]
