"""Encode tensors as the bytes of a safetensors file, and decode them."""

from collections.abc import Mapping

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy
from etils import epath

from fsl_jax.errors import InputError, problems_error

_DTYPES = {
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F64": np.float64,
}


def encode_tensors(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return the bytes of a safetensors file.

    Args:
      tensors: float32 arrays by name; there may be none.

    Returns:
      The file's contents, which are the same for the same tensors.
    """
    # PEFT writes this format too, which says that the tensors have PyTorch's layout.
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    return safetensors.numpy.save(contiguous, metadata={"format": "pt"})


def decode_tensors(data: bytes, path: epath.Path) -> dict[str, np.ndarray]:
    """Return the tensors in the bytes of a safetensors file.

    Args:
      data: the file's contents.
      path: the file, for errors.

    Returns:
      The tensors by name, converted to float32.

    Raises:
      InputError: the file is malformed or truncated, or has tensors that are not floating-point.
    """
    try:
        entries = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{path}: not a valid safetensors file: {error}. It may be damaged or cut short."
        ) from error
    problems = [
        f"{name} is {entry['dtype']}" for name, entry in entries if entry["dtype"] not in _DTYPES
    ]
    if problems:
        raise problems_error(
            f"{path}: tensors of a type other than {', '.join(_DTYPES)}:", problems
        )
    # Numbers beyond float32 become infinite.
    with np.errstate(over="ignore"):
        return {
            name: np.frombuffer(entry["data"], _DTYPES[entry["dtype"]])
            .reshape(entry["shape"])
            .astype(np.float32)
            for name, entry in entries
        }
