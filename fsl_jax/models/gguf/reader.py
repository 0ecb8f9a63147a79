"""Reading GGUF files: metadata at once, tensors when they are asked for.

The layout is described in https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Nothing that a
file says about itself is believed: every count, length and offset is checked against the size of
the file before anything is allocated for it.
"""

import dataclasses
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.quantization import QUANTIZATIONS, Quantization, dequantize, format_name

_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_DIMENSIONS = 4
_LONGEST_MESSAGE = 300
_FETCH_AGAIN = "It may be damaged or cut short: fetch it again."
_STRING, _ARRAY, _BOOL = 8, 9, 7
_NUMBERS = {
    0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "<u1",
    10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip
# The least that an entry takes in the file, which bounds how many there can be.
_LEAST_METADATA_BYTES = 8 + 4 + 1
_LEAST_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8


@dataclasses.dataclass(frozen=True, eq=False)
class GGUFTensor:
    """A tensor in a GGUF file, not yet read.

    Attributes:
      name: its name in the file, "blk.0.attn_q.weight".
      shape: row-major, as Hugging Face has it: `[out, in]` for a matrix.
      quantization: the name of its number format, "Q4_1".
    """

    name: str
    shape: tuple[int, ...]
    quantization: str
    _path: Path = dataclasses.field(repr=False)
    _format: Quantization = dataclasses.field(repr=False)
    _bytes: np.ndarray = dataclasses.field(repr=False)

    def load(self) -> np.ndarray:
        """Reads and dequantizes the tensor.

        Returns:
          The weights, float32 of `shape`; the caller's own.

        Raises:
          InputError: a weight is infinite or not a number.
        """
        weights = dequantize(self._bytes, self._format).reshape(self.shape)
        if not np.isfinite(weights).all():
            raise InputError(
                f"{self._path}: tensor {self.name!r} has weights that are not finite. "
                f"{_FETCH_AGAIN}"
            )
        return weights


@dataclasses.dataclass(frozen=True, eq=False)
class GGUFFile:
    """What a GGUF file holds.

    Attributes:
      metadata: values by key; arrays of numbers are numpy arrays, arrays of strings are lists.
      tensors: tensors by name, in the file's order.
    """

    metadata: dict[str, Any]
    tensors: Mapping[str, GGUFTensor]


def read_gguf(path: str | Path) -> GGUFFile:
    """Reads the metadata of a GGUF file and finds its tensors.

    Args:
      path: the file.

    Returns:
      The metadata, and the tensors to load one by one; they keep the file mapped, not in memory.

    Raises:
      InputError: there is no such file, or it is truncated, malformed, or of a kind not known.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Give the path of a GGUF file.")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty. {_FETCH_AGAIN}")
    reader = _Reader(path)
    tensor_count, metadata_count = _read_header(reader)
    metadata = _read_metadata(reader, metadata_count)
    tensors = _read_tensors(reader, tensor_count, _alignment(reader, metadata))
    return GGUFFile(metadata=metadata, tensors=tensors)


class _Reader:
    """A place in a file, and checked reading from there."""

    def __init__(self, path: Path):
        self.path = path
        self.bytes = np.memmap(path, dtype=np.uint8, mode="r")
        self.view = self.bytes.data
        self.position = 0

    def malformed(self, found: str) -> InputError:
        """The error for a file that is not what it should be."""
        # In a damaged file a name may run on for megabytes.
        found = found if len(found) <= _LONGEST_MESSAGE else f"{found[:_LONGEST_MESSAGE]}…"
        return InputError(f"{self.path}: not a valid GGUF file: {found}. {_FETCH_AGAIN}")

    def expect(self, size: int, what: str) -> None:
        """Makes sure that `size` more bytes are there."""
        left = len(self.view) - self.position
        if size > left:
            raise self.malformed(
                f"{what} at byte {self.position} needs {size} bytes and {left} are left"
            )

    def number(self, format: str, what: str) -> Any:
        """Reads one number in a format of `struct`."""
        self.expect(struct.calcsize(format), what)
        (value,) = struct.unpack_from(format, self.view, self.position)
        self.position += struct.calcsize(format)
        return value

    def count(self, least_bytes: int, what: str) -> int:
        """Reads how many things follow, each of at least so many bytes."""
        count = self.number("<Q", f"the number of {what}")
        self.expect(count * least_bytes, f"a list of {count} {what}")
        return count

    def strings(self, count: int, what: str) -> list[str]:
        """Reads strings that follow one another, in one loop: vocabularies are long."""
        view, size, position, strings = self.view, len(self.view), self.position, []
        length_at = struct.Struct("<Q").unpack_from
        for index in range(count):
            start = position + 8
            stop = start + length_at(view, position)[0] if start <= size else start
            if stop > size:
                self.position = position
                self.expect(stop - position, f"string {index} of {what}")
            try:
                strings.append(str(view[start:stop], "utf-8"))
            except UnicodeDecodeError as error:
                raise self.malformed(f"string {index} of {what} is not UTF-8") from error
            position = stop
        self.position = position
        return strings

    def string(self, what: str) -> str:
        """Reads one string."""
        return self.strings(1, what)[0]

    def numbers(self, code: int, count: int, what: str) -> np.ndarray:
        """Reads numbers of one metadata type that follow one another."""
        dtype = np.dtype(_NUMBERS[code])
        self.expect(count * dtype.itemsize, what)
        values = np.frombuffer(self.view, dtype, count, self.position).copy()
        self.position += count * dtype.itemsize
        if code != _BOOL:
            return values
        if values.max(initial=0) > 1:
            raise self.malformed(f"{what} should hold 0 or 1, not {values.max()}")
        return values.astype(np.bool_)


def _read_header(reader: _Reader) -> tuple[int, int]:
    magic = bytes(reader.view[:4])
    if magic != b"GGUF":
        raise reader.malformed(f"it begins with {magic!r} where b'GGUF' should be")
    reader.position = 4
    version = reader.number("<I", "the version")
    if version not in _VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        found = f"big-endian version {swapped}" if swapped in _VERSIONS else f"version {version}"
        raise InputError(
            f"{reader.path}: GGUF {found}; known are little-endian versions 2 and 3. Convert the "
            "model again with a current llama.cpp."
        )
    return reader.count(_LEAST_TENSOR_BYTES, "tensors"), reader.count(
        _LEAST_METADATA_BYTES, "metadata entries"
    )


def _read_metadata(reader: _Reader, count: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for index in range(count):
        key = reader.string(f"key {index} of the metadata")
        if key in metadata:
            raise reader.malformed(f"metadata key {key!r} is there twice")
        code = reader.number("<I", f"the type of {key}")
        metadata[key] = _read_array(reader, key) if code == _ARRAY else _read(reader, code, key)
    return metadata


def _read(reader: _Reader, code: int, key: str) -> Any:
    """Reads one value that is not an array, as Python's own bool, int, float or str."""
    if code == _STRING:
        return reader.string(key)
    if code not in _NUMBERS:
        raise reader.malformed(f"metadata {key!r} has unknown type {code}")
    return reader.numbers(code, 1, key)[0].item()


def _read_array(reader: _Reader, key: str) -> np.ndarray | list[str]:
    code = reader.number("<I", f"the type of the items of {key}")
    if code == _STRING:
        return reader.strings(reader.count(8, f"strings in {key}"), key)
    if code not in _NUMBERS:
        raise reader.malformed(f"the items of {key!r} have type {code}, not numbers or strings")
    return reader.numbers(code, reader.count(1, f"items in {key}"), key)


def _alignment(reader: _Reader, metadata: dict[str, Any]) -> int:
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise reader.malformed(f"general.alignment is {alignment!r}, not a power of two")
    return alignment


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A tensor as the file's directory has it."""

    name: str
    shape: tuple[int, ...]
    format: Quantization
    offset: int

    @property
    def size(self) -> int:
        return math.prod(self.shape) // self.format.block_length * self.format.block.itemsize


def _read_entry(reader: _Reader, index: int) -> _Entry:
    name = reader.string(f"the name of tensor {index}")
    dimensions = reader.number("<I", f"the number of dimensions of {name}")
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise reader.malformed(
            f"tensor {name!r} has {dimensions} dimensions, not 1 to {_MAX_DIMENSIONS}"
        )
    # The file has the fastest dimension first.
    shape = tuple(reader.number("<Q", f"the shape of {name}") for _ in range(dimensions))[::-1]
    code = reader.number("<I", f"the format of {name}")
    if code not in QUANTIZATIONS:
        known = ", ".join(sorted(format.name for format in QUANTIZATIONS.values()))
        raise InputError(
            f"{reader.path}: tensor {name[:80]!r} has the number format {format_name(code)}, which "
            f"cannot be read. Known: {known}. Give a file that is quantized with one of these."
        )
    format = QUANTIZATIONS[code]
    if 0 in shape or shape[-1] % format.block_length:
        raise reader.malformed(
            f"tensor {name!r} has shape {shape}; {format.name} needs rows that are a multiple of "
            f"{format.block_length}"
        )
    return _Entry(name, shape, format, reader.number("<Q", f"the place of {name}"))


def _read_tensors(reader: _Reader, count: int, alignment: int) -> dict[str, GGUFTensor]:
    entries = [_read_entry(reader, index) for index in range(count)]
    data_start = _padded(reader.position, alignment)
    tensors: dict[str, GGUFTensor] = {}
    expected = 0
    for entry in entries:
        if entry.name in tensors:
            raise reader.malformed(f"tensor {entry.name!r} is there twice")
        # Tensors lie one after the other; a wrong offset would read another tensor's weights.
        if entry.offset != expected:
            raise reader.malformed(
                f"tensor {entry.name!r} is said to be at {entry.offset} of the data, and the ones "
                f"before it end at {expected}"
            )
        expected = _padded(entry.offset + entry.size, alignment)
        reader.position = min(data_start + entry.offset, len(reader.view))
        reader.expect(entry.size, f"tensor {entry.name!r}")
        data = reader.bytes[reader.position : reader.position + entry.size]
        tensors[entry.name] = GGUFTensor(
            entry.name, entry.shape, entry.format.name, reader.path, entry.format, data
        )
    return tensors


def _padded(position: int, alignment: int) -> int:
    """The next multiple of `alignment`."""
    return -(-position // alignment) * alignment
