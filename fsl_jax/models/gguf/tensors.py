"""Read the directory of a GGUF file's tensors, and load tensors one by one."""

import dataclasses
import math
from pathlib import Path

import numpy as np

from fsl_jax.errors import InputError, brief
from fsl_jax.models.gguf.byte_reader import FETCH_AGAIN, ByteReader
from fsl_jax.models.gguf.quantization import QUANTIZATIONS, Quantization, dequantize, format_name

_MAX_DIMENSIONS = 4


@dataclasses.dataclass(frozen=True, eq=False)
class GGUFTensor:
    """A tensor in a GGUF file, not yet read.

    Attributes:
      name: its name in the file, "blk.0.attn_q.weight".
      shape: row-major, as in Hugging Face checkpoints: `[out, in]` for a matrix.
      quantization: the name of its number format, "Q4_1".
    """

    name: str
    shape: tuple[int, ...]
    quantization: str
    _path: Path = dataclasses.field(repr=False)
    _format: Quantization = dataclasses.field(repr=False)
    _bytes: np.ndarray = dataclasses.field(repr=False)

    def load(self) -> np.ndarray:
        """Read and dequantize the tensor.

        Returns:
          The weights, float32 of `shape`, a new array.

        Raises:
          InputError: a weight is infinite or not a number.
        """
        weights = dequantize(self._bytes, self._format).reshape(self.shape)
        if not np.isfinite(weights).all():
            raise InputError(
                f"{self._path}: tensor {self.name!r} has weights that are not finite. {FETCH_AGAIN}"
            )
        return weights


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A tensor in the file's directory."""

    name: str
    shape: tuple[int, ...]
    format: Quantization
    offset: int

    @property
    def size(self) -> int:
        """The number of bytes of its data."""
        return math.prod(self.shape) // self.format.block_length * self.format.block.itemsize


def read_tensors(reader: ByteReader, count: int, alignment: int) -> dict[str, GGUFTensor]:
    """Read the directory of tensors.

    Args:
      reader: a reader at the start of the directory.
      count: the number of tensors.
      alignment: the alignment of each tensor's data, in bytes.

    Returns:
      Tensors by name, in the file's order.

    Raises:
      InputError: the file is malformed, or a number format is not known.
    """
    entries = [_read_entry(reader, index) for index in range(count)]
    data_start = _padded(reader.position, alignment)
    tensors: dict[str, GGUFTensor] = {}
    expected = 0
    for entry in entries:
        if entry.name in tensors:
            raise reader.malformed(f"tensor {entry.name!r} occurs twice")
        # Tensors are contiguous; a wrong offset would read another tensor's weights.
        if entry.offset != expected:
            raise reader.malformed(
                f"tensor {entry.name!r} should start at {expected} of the data, after the ones "
                f"before it, and its offset is {entry.offset}"
            )
        expected = _padded(entry.offset + entry.size, alignment)
        reader.position = min(data_start + entry.offset, len(reader.view))
        reader.expect(entry.size, f"tensor {entry.name!r}")
        data = reader.bytes[reader.position : reader.position + entry.size]
        tensors[entry.name] = GGUFTensor(
            entry.name, entry.shape, entry.format.name, reader.path, entry.format, data
        )
    return tensors


def _read_entry(reader: ByteReader, index: int) -> _Entry:
    name = reader.string(f"the name of tensor {index}")
    dimensions = reader.number("<I", f"the number of dimensions of {name}")
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise reader.malformed(
            f"tensor {name!r} has {dimensions} dimensions, not 1 to {_MAX_DIMENSIONS}"
        )
    # In the file, the fastest-varying dimension comes first.
    shape = tuple(reader.number("<Q", f"the shape of {name}") for _ in range(dimensions))[::-1]
    format = _read_format(reader, name)
    if 0 in shape or shape[-1] % format.block_length:
        raise reader.malformed(
            f"tensor {name!r} has shape {shape}; {format.name} needs rows that are a multiple of "
            f"{format.block_length}"
        )
    return _Entry(name, shape, format, reader.number("<Q", f"the offset of {name}"))


def _read_format(reader: ByteReader, name: str) -> Quantization:
    code = reader.number("<I", f"the format of {name}")
    if code not in QUANTIZATIONS:
        known = ", ".join(sorted(format.name for format in QUANTIZATIONS.values()))
        raise InputError(
            f"{reader.path}: tensor {brief(name)} has the number format {format_name(code)}, which "
            f"cannot be read. Known: {known}. Give a file that is quantized with one of these."
        )
    return QUANTIZATIONS[code]


def _padded(position: int, alignment: int) -> int:
    """Return the next multiple of `alignment`."""
    return -(-position // alignment) * alignment
