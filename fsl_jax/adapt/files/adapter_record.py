"""The record beside an adapter: its method, task, base model, and the hashes of its files.

The record is sealed, and lists the hashes of the other files. So no changed bit goes unnoticed.
Records of earlier versions have no seal, and lack some of the hashes.
"""

import dataclasses
import importlib.metadata
import json
from collections.abc import Iterable
from typing import Any

from etils import epath

from fsl_jax.adapt.files.adapter_layout import ADVICE, HASHED, MAX_JSON_BYTES
from fsl_jax.adapt.files.adapter_reading import read_file
from fsl_jax.errors import InputError, brief, problems_error
from fsl_jax.json_reader import parse_json
from fsl_jax.sealed_json import decode_sealed, encode_sealed
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
      sha256: the hash of each other file that is read again.
      base_files: the hashes of the base model's config and tokenizer, by file name; None in the
        records of earlier versions.
    """

    method: str
    base_model: dict[str, str]
    description: dict[str, Any]
    trained: dict[str, list[int]]
    versions: dict[str, str]
    sha256: dict[str, str]
    base_files: dict[str, str] | None = None

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        return encode_sealed(dataclasses.asdict(self))


def read_record(path: epath.PathLike) -> AdapterRecord | None:
    """Read `fsl_jax.json`.

    Args:
      path: the file.

    Returns:
      The record; None if there is no such file, as in a directory from PEFT.

    Raises:
      InputError: the file is damaged, or lists files that no adapter has.
    """
    if not epath.Path(path).exists():
        return None
    return parse_record(read_file(path, MAX_JSON_BYTES), path)


def parse_record(data: bytes, path: epath.PathLike) -> AdapterRecord:
    """Parse the contents of `fsl_jax.json`.

    Args:
      data: the contents.
      path: the file, for errors.

    Returns:
      The record.

    Raises:
      InputError: the file is damaged, or lists files that no adapter has.
    """
    values = decode_sealed(data, path, ADVICE, required=False)
    try:
        record = AdapterRecord(**checked_fields(AdapterRecord, {"base_files": None} | values))
    except InputError as error:
        raise _damaged(path, error.problems) from error
    problems = [
        f"base_model.{name}: missing"
        for name in ("name", "sha256")
        if name not in record.base_model
    ]
    # Only these names are ever opened: others could lead out of the directory.
    problems += [
        f"sha256: it lists {brief(name)}, which is no file of an adapter"
        for name in record.sha256
        if name not in HASHED
    ]
    if problems:
        raise _damaged(path, problems)
    return record


def encode_json(values: dict[str, Any]) -> bytes:
    """Return values as the bytes of an indented JSON file."""
    return (json.dumps(values, indent=2, allow_nan=False) + "\n").encode()


def read_config(path: epath.PathLike) -> dict[str, Any]:
    """Read `adapter_config.json`.

    Args:
      path: the file.

    Returns:
      The values by name.

    Raises:
      InputError: the file is missing or is not a JSON object.
    """
    values: dict[str, Any] = parse_json(read_file(path, MAX_JSON_BYTES), path)
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


def _damaged(path: epath.PathLike, problems: Iterable[str]) -> InputError:
    return problems_error(f"{path}: missing or not as they were saved. {ADVICE}", problems)
