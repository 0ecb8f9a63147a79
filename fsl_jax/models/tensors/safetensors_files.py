"""Find the tensors in a directory's safetensors files: one file, or shards with an index."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from fsl_jax.errors import InputError, problems_error

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_DTYPES = ("F32", "F16", "BF16")


@dataclasses.dataclass(frozen=True, eq=False)
class SafetensorsTensor:
    """A tensor of a safetensors file, which is read when `load` is called."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    _file: Any = dataclasses.field(repr=False)

    def load(self) -> np.ndarray:
        """Read the tensor in the dtype of the file.

        Raises:
          InputError: the dtype is not a supported floating-point type.
        """
        if self.dtype not in _DTYPES:
            raise InputError(
                f"{self.name} holds numbers of type {self.dtype}; expected {', '.join(_DTYPES)}. "
                "Quantized checkpoints are not read: give the one that they were made from."
            )
        return self._file.get_tensor(self.name)


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
    try:
        names = sorted({str(name) for name in json.loads(index.read_text())["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{index}: not a valid index of shards ({error!r}). It should be JSON with a "
            "weight_map from tensors to files: fetch it again."
        ) from error
    if outside := [name for name in names if Path(name).name != name]:
        raise problems_error(f"{index}: the index names files outside its directory:", outside)
    if absent := [name for name in names if not (directory / name).is_file()]:
        raise problems_error(f"{index}: shards are missing. Fetch them:", absent)
    return [directory / name for name in names]
