"""Several processes that run one program: each calls the same functions in the same order.

What a process decides by itself (a signal came, a clock says so, a file is there) has to be agreed
on before it decides about what is computed, or the processes wait for each other forever.
"""

import json
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from fsl_jax.errors import problems_error


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return jax.process_index() == 0


def gather(value: Any) -> list[Any]:
    """What every process says about something; all call this together.

    Args:
      value: what this process says, of JSON's kinds.

    Returns:
      The values of all processes in their order, each as JSON gives it back.
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
    """What the first process says; all call this together.

    Args:
      value: what this process says, of JSON's kinds.

    Returns:
      The first one's value as JSON gives it back.
    """
    return gather(value if is_first() else None)[0]


def require_agreement(said: dict[str, Any]) -> None:
    """Refuses to go on where processes were given or see different things.

    All call this together.

    Args:
      said: values of JSON's kinds by name; the same names in all processes.

    Raises:
      InputError: a value is not that of the first process; all such are listed, in each process.
    """
    first, *others = gather(said)
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
    """Copies a tree of arrays into host memory, whole; all processes call this together.

    Args:
      tree: a pytree of arrays, which may be spread over the devices of all processes.

    Returns:
      NumPy arrays in the same structure.
    """
    return jax.device_get(jax.tree.map(_within_reach, tree))


def _within_reach(leaf: Any) -> Any:
    if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated:
        return leaf
    return multihost_utils.process_allgather(leaf, tiled=True)
