"""Find the tensors in a directory's safetensors files: one file, or shards with an index."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from fsl_jax.errors import InputError, problems_error
from fsl_jax.files import stays_inside
from fsl_jax.json_reader import read_json

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_DTYPES = ("F32", "F16", "BF16", "F64")
_CHUNK = 1 << 22


@dataclasses.dataclass(frozen=True, eq=False)
class SafetensorsTensor:
    """A tensor of a safetensors file, which is read when `load` is called."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    _file: Any = dataclasses.field(repr=False)

    def load(self) -> np.ndarray:
        """Read the tensor in the dtype of the file, or in float32 if that is float64.

        Raises:
          InputError: the dtype is not a supported floating-point type.
        """
        self._require_dtype()
        return _without_float64(self._file.get_tensor(self.name))

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Read a part of the first axis, like `load`."""
        self._require_dtype()
        return _without_float64(self._file.get_slice(self.name)[start:stop])

    def _require_dtype(self) -> None:
        if self.dtype not in _DTYPES:
            raise InputError(
                f"{self.name} holds numbers of type {self.dtype}; expected {', '.join(_DTYPES)}. "
                "Quantized checkpoints are not read: give the one that they were made from."
            )


def have_equal_values(one: SafetensorsTensor, other: SafetensorsTensor) -> bool:
    """Return True if two tensors have the same shape and numbers, whatever their dtypes.

    Args:
      one: a tensor, which is read in parts.
      other: another tensor.

    Returns:
      True if they are equal in float32.

    Raises:
      InputError: the dtype of one is not a supported floating-point type.
    """
    if one is other or one.shape != other.shape:
        return one is other
    if 0 in one.shape:
        return True
    if not one.shape:
        return bool(one.load() == other.load())
    rows = max(1, _CHUNK // max(1, math.prod(one.shape[1:])))
    for start in range(0, one.shape[0], rows):
        stop = min(start + rows, one.shape[0])
        ours, theirs = (tensor.rows(start, stop).astype(np.float32) for tensor in (one, other))
        if not np.array_equal(ours, theirs):
            return False
    return True


def _without_float64(tensor: np.ndarray) -> np.ndarray:
    # Numbers beyond float32 become infinite, as in transformers.
    with np.errstate(over="ignore"):
        return tensor.astype(np.float32) if tensor.dtype == np.float64 else tensor


def weight_files(directory: Path) -> list[Path]:
    """Return the files with the weights of a Hugging Face directory.

    Args:
      directory: a directory with `model.safetensors`, or with shards and
        `model.safetensors.index.json`.

    Returns:
      The paths of the files.

    Raises:
      InputError: there are no such files, the index is not valid, or it names missing files.
    """
    if (directory / _SINGLE).is_file():
        return [directory / _SINGLE]
    if (directory / _INDEX).is_file():
        return _shards(directory)
    pickled = any(directory.glob("*.bin")) or any(directory.glob("*.pt"))
    advice = (
        "Its weights are pickled, which is never loaded here: save them as safetensors, which "
        "transformers' save_pretrained does."
        if pickled
        else "Give a directory that a Hugging Face model was saved to."
    )
    raise InputError(f"{directory}: there is no {_SINGLE} and no {_INDEX}. {advice}")


def open_tensors(files: list[Path]) -> Mapping[str, SafetensorsTensor]:
    """Find the tensors of safetensors files, without reading them.

    Args:
      files: the files of one checkpoint.

    Returns:
      The tensors by name.

    Raises:
      InputError: a file is truncated or malformed, or two files have a tensor of the same name.
    """
    tensors: dict[str, SafetensorsTensor] = {}
    homes: dict[str, str] = {}
    problems = []
    for path in files:
        file = _open(path)
        for name in file.keys():  # noqa: SIM118, a safetensors file is not a dict
            if name in tensors:
                problems.append(f"{name} is in {homes[name]} and in {path.name}")
            homes[name] = path.name
            part = file.get_slice(name)
            shape, dtype = tuple(part.get_shape()), part.get_dtype()
            tensors[name] = SafetensorsTensor(name, shape, dtype, file)
    if problems:
        raise problems_error(
            f"{files[0].parent}: tensors are duplicated. Fetch it again:", problems
        )
    return tensors


def _open(path: Path) -> Any:
    try:
        return safe_open(path, framework="np")
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: not a valid safetensors file: {error}. It may be damaged or cut short: "
            "fetch it again."
        ) from error


def _shards(directory: Path) -> list[Path]:
    index = directory / _INDEX
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(
        isinstance(name, str) for name in weight_map.values()
    ):
        raise InputError(
            f"{index}: not a valid index of shards: expected a weight_map from the names of "
            "tensors to those of files. Fetch it again."
        )
    names = sorted(set(weight_map.values()))
    if outside := [name for name in names if not _is_inside(directory, name)]:
        raise problems_error(
            f"{index}: the index names files outside its directory, or names that no file can "
            "have. Copy the files into it:",
            [repr(name) for name in outside],
        )
    if absent := [name for name in names if not (directory / name).is_file()]:
        raise problems_error(f"{index}: shards are missing. Fetch them:", absent)
    return [directory / name for name in names]


def _is_inside(directory: Path, name: str) -> bool:
    """Return True for the plain name of a file in a directory, or in the hub's cache."""
    return name not in ("", "..") and Path(name).name == name and stays_inside(directory / name)
