"""Read the metadata of a GGUF file, and look up values with a check of their type."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.byte_reader import ARRAY, NUMBERS, STRING, ByteReader

Metadata = Mapping[str, Any]
"""Values by key; arrays of numbers are NumPy arrays, arrays of strings are lists."""

CONVERT_AGAIN = "Convert the model again with a current llama.cpp."


def metadata_value(metadata: Metadata, key: str, kind: type, default: Any) -> Any:
    """Return a value of the metadata, or `default` if the key is missing.

    Args:
      metadata: `GGUFFile.metadata`.
      key: the key of the value.
      kind: the required type of the value.
      default: the result for a missing key.

    Returns:
      The value.

    Raises:
      InputError: the value has another type.
    """
    value = metadata.get(key, default)
    if key in metadata and type(value) is not kind:
        raise InputError(
            f"the GGUF metadata hold a {type(value).__name__} as {key}, not a {kind.__name__}. "
            f"{CONVERT_AGAIN}"
        )
    return value


def read_metadata(reader: ByteReader, count: int) -> dict[str, Any]:
    """Read `count` entries of metadata.

    Args:
      reader: a reader at the first entry.
      count: the number of entries.

    Returns:
      Values by key.

    Raises:
      InputError: the file is malformed.
    """
    metadata: dict[str, Any] = {}
    for index in range(count):
        key = reader.string(f"key {index} of the metadata")
        if key in metadata:
            raise reader.malformed(f"metadata key {key!r} occurs twice")
        code = reader.number("<I", f"the type of {key}")
        metadata[key] = _read_array(reader, key) if code == ARRAY else _read(reader, code, key)
    return metadata


def _read(reader: ByteReader, code: int, key: str) -> Any:
    """Read one value that is not an array, as a Python bool, int, float or str."""
    if code == STRING:
        return reader.string(key)
    if code not in NUMBERS:
        raise reader.malformed(f"metadata {key!r} has unknown type {code}")
    return reader.numbers(code, 1, key)[0].item()


def _read_array(reader: ByteReader, key: str) -> np.ndarray | list[str]:
    code = reader.number("<I", f"the type of the items of {key}")
    if code == STRING:
        return reader.strings(reader.count(8, f"strings in {key}"), key)
    if code not in NUMBERS:
        raise reader.malformed(f"the items of {key!r} have type {code}, not numbers or strings")
    return reader.numbers(code, reader.count(1, f"items in {key}"), key)
