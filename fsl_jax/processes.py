"""Coordinate several processes that run one program.

Each process calls the same functions in the same order. If only one process knows a fact, such as a
signal, a time or a file, it must share it before the program depends on it. Otherwise the processes
wait for each other forever.
"""

import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from fsl_jax.errors import InputError, problems_error


def is_first() -> bool:
    """Return True in the process that writes and prints."""
    return jax.process_index() == 0


def gather(value: Any) -> list[Any]:
    """Collect a value from every process; all processes must call this together.

    Args:
      value: the value of this process, which JSON can represent.

    Returns:
      The values of all processes in their order, each after a round trip through JSON.
    """
    text = json.dumps(value)
    if jax.process_count() == 1:
        return [json.loads(text)]
    encoded = np.frombuffer(text.encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.int32(len(encoded)))
    padded = np.zeros(lengths.max(), np.uint8)
    padded[: len(encoded)] = encoded
    rows = multihost_utils.process_allgather(padded)
    return [json.loads(row[:length].tobytes()) for row, length in zip(rows, lengths, strict=True)]


def from_first(value: Any) -> Any:
    """Return the value of the first process; all processes must call this together.

    Args:
      value: the value of this process, which JSON can represent.

    Returns:
      The value of the first process after a round trip through JSON.
    """
    return gather(value if is_first() else None)[0]


def in_first(function: Callable[[], Any]) -> Any:
    """Call a function in the first process only; all processes must call this together.

    Args:
      function: returns a value that JSON can represent.

    Returns:
      Its value after a round trip through JSON, in all processes.

    Raises:
      InputError: the function raised it; it is raised in all processes.
    """
    value, problem = None, None
    if is_first():
        try:
            value = function()
        except InputError as error:
            problem = str(error)
    value, problem = from_first([value, problem])
    if problem is not None:
        raise InputError(problem)
    return value


def require_agreement(values: dict[str, Any]) -> None:
    """Raise an error if a value differs between processes; all must call this together.

    Args:
      values: values by name, which JSON can represent; the same names in all processes.

    Raises:
      InputError: values differ from those of the first process; the error lists all of them.
    """
    first, *others = gather(values)
    differing = [
        f"{name}: {json.dumps(value)} in process {number}, {json.dumps(first[name])} in process 0"
        for number, other in enumerate(others, start=1)
        for name, value in other.items()
        if value != first[name]
    ]
    if differing:
        raise problems_error(
            "the processes differ. Give all of them the same flags and the same files:", differing
        )


def to_host(tree: Any) -> Any:
    """Copy a tree of complete arrays to host memory; all processes must call this together.

    Args:
      tree: a pytree of arrays, which may be spread over the devices of all processes.

    Returns:
      NumPy arrays in the same structure.
    """
    return jax.device_get(jax.tree.map(_addressable, tree))


def _addressable(leaf: Any) -> Any:
    if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated:
        return leaf
    return multihost_utils.process_allgather(leaf, tiled=True)
