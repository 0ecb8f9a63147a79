"""The registry of origins: where data come from, and the rows of each part."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from fsl_jax.data.embedded import EMBEDDED
from fsl_jax.data.origins import hub, tensorflow
from fsl_jax.data.origins.embedded import embedded_parts
from fsl_jax.data.origins.local import local_parts
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.readers.registry import is_known
from fsl_jax.data.rows import Parts
from fsl_jax.errors import InputError, unknown_name
from fsl_jax.files import local_path

ORIGINS: dict[str, Callable[[str, ReadOptions], Parts]] = {
    hub.SCHEME: hub.hub_parts,
    tensorflow.SCHEME: tensorflow.tensorflow_parts,
}
"""The function that reads the parts of what is named behind a scheme and a colon."""

_ON_HUB = re.compile(r"[\w.-]+/[\w.-]+")


def read_parts(name: str, options: ReadOptions | None = None) -> Parts:
    """Read the rows of each part of a data set, whatever task they are for.

    Args:
      name: an embedded name; a local file, or a folder in one of the layouts of `directories`;
        `hf:NAME[:CONFIG][@REVISION]`; or `tfds:NAME[/CONFIG][:VERSION]`.
      options: how to read it.

    Returns:
      The rows by part, in the order of the source. What could not be read is in their `malformed`,
      and how it was read in their `remarks`.

    Raises:
      InputError: there is no such data set, or it cannot be read at all; the message says why.
    """
    options = options or ReadOptions()
    scheme, colon, rest = name.partition(":")
    if colon and scheme in ORIGINS:
        return ORIGINS[scheme](rest, options)
    if name in EMBEDDED:
        return embedded_parts(name)
    path = local_path(name)
    if path.exists():
        return local_parts(path, options)
    raise _no_such_data(name, path)


def _no_such_data(name: str, path: Path) -> InputError:
    where = f"there is no file or directory {name!r} (looked in {Path.cwd()})."
    if is_known(path):
        return InputError(where)
    if _ON_HUB.fullmatch(name):
        return InputError(f"{where} If you mean the Hugging Face hub, write {hub.SCHEME}:{name}")
    if os.sep in name:
        return InputError(where)
    others = ", ".join(f"{scheme}:NAME" for scheme in ORIGINS)
    return InputError(
        f"{unknown_name('data set', name, EMBEDDED)} Or give a file, a directory, or {others}."
    )
