"""The record beside an adapter: its method, task, base model, and the hashes of its files."""

import dataclasses
import importlib.metadata
import json
from collections.abc import Iterable
from typing import Any

from etils import epath

from fsl_jax.errors import InputError, problems_error
from fsl_jax.validation import checked_fields


@dataclasses.dataclass(frozen=True)
class AdapterRecord:
    """The contents of `fsl_jax.json`.

    Attributes:
      method: the method with its settings, as written in flags.
      base_model: "name" and "sha256" of the base model.
      description: the information for using the adapter for its task again.
      trained: the shape of each trained leaf by path.
      versions: the versions of this project, JAX and Flax.
      sha256: the hash of each file with tensors.
    """

    method: str
    base_model: dict[str, str]
    description: dict[str, Any]
    trained: dict[str, list[int]]
    versions: dict[str, str]
    sha256: dict[str, str]

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        return encode_json(dataclasses.asdict(self))


def read_record(path: epath.Path) -> AdapterRecord | None:
    """Read `fsl_jax.json`.

    Args:
      path: the file.

    Returns:
      The record; None if there is no such file, as in a directory from PEFT.

    Raises:
      InputError: the file is damaged.
    """
    if not path.exists():
        return None
    values = parse_json(path, path.read_bytes())
    try:
        record = AdapterRecord(**checked_fields(AdapterRecord, values))
    except InputError as error:
        raise _damaged(path, error.problems) from error
    missing = [name for name in ("name", "sha256") if name not in record.base_model]
    if missing:
        raise _damaged(path, [f"base_model.{name}: missing" for name in missing])
    return record


def encode_json(values: dict[str, Any]) -> bytes:
    """Return values as the bytes of an indented JSON file."""
    return (json.dumps(values, indent=2, allow_nan=False) + "\n").encode()


def parse_json(path: epath.Path, data: bytes) -> dict[str, Any]:
    """Return the object in a JSON file.

    Args:
      path: the file, for errors.
      data: its bytes.

    Returns:
      The values by name.

    Raises:
      InputError: the file is not a JSON object.
    """
    try:
        values = json.loads(data)
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}. Save the adapter again.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object. Save the adapter again.")
    return values


def versions() -> dict[str, str]:
    """Return the versions of this project, if it is installed, of JAX and of Flax."""
    by_package = {}
    for package in ("fsl_jax", "jax", "flax"):
        try:
            by_package[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            by_package[package] = "not installed"
    return by_package


def _damaged(path: epath.Path, problems: Iterable[str]) -> InputError:
    return problems_error(
        f"{path}: missing or not as they were saved; save the adapter again:", problems
    )
