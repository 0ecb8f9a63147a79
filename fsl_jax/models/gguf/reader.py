"""Read GGUF files: the metadata at once, tensors on request.

The layout is described in https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.byte_reader import FETCH_AGAIN, ByteReader
from fsl_jax.models.gguf.metadata import read_metadata
from fsl_jax.models.gguf.tensors import read_tensors
from fsl_jax.models.tensors.stored import StoredTensor

_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
# The minimum size of an entry in the file, which bounds the number of entries.
_LEAST_METADATA_BYTES = 8 + 4 + 1
_LEAST_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8


@dataclasses.dataclass(frozen=True, eq=False)
class GGUFFile:
    """The content of a GGUF file.

    Attributes:
      metadata: values by key; arrays of numbers are NumPy arrays, arrays of strings are lists.
      tensors: tensors by name, in the file's order.
    """

    metadata: dict[str, Any]
    tensors: Mapping[str, StoredTensor]


def read_gguf(path: str | Path) -> GGUFFile:
    """Read the metadata of a GGUF file and the directory of its tensors.

    Args:
      path: the file.

    Returns:
      The metadata, and the tensors to load one by one from the memory-mapped file.

    Raises:
      InputError: the file does not exist, is truncated or malformed, or has an unknown version or
        number format.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Give the path of a GGUF file.")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty. {FETCH_AGAIN}")
    reader = ByteReader(path)
    tensor_count, metadata_count = _read_header(reader)
    metadata = read_metadata(reader, metadata_count)
    tensors = read_tensors(reader, tensor_count, _alignment(reader, metadata))
    return GGUFFile(metadata=metadata, tensors=tensors)


def _read_header(reader: ByteReader) -> tuple[int, int]:
    """Return the numbers of tensors and of metadata entries."""
    magic = bytes(reader.view[:4])
    if magic != b"GGUF":
        raise reader.malformed(f"it begins with {magic!r} where b'GGUF' should be")
    reader.position = 4
    version = reader.number("<I", "the version")
    if version not in _VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        shown = f"big-endian version {swapped}" if swapped in _VERSIONS else f"version {version}"
        raise InputError(
            f"{reader.path}: GGUF {shown}; known are little-endian versions 2 and 3. Convert the "
            "model again with a current llama.cpp."
        )
    tensor_count = reader.count(_LEAST_TENSOR_BYTES, "tensors")
    return tensor_count, reader.count(_LEAST_METADATA_BYTES, "metadata entries")


def _alignment(reader: ByteReader, metadata: dict[str, Any]) -> int:
    """Return the alignment of tensors, in bytes."""
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise reader.malformed(f"general.alignment is {alignment!r}, not a power of two")
    return alignment
