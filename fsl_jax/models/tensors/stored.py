"""Tensors and leaves that are still in their checkpoint, and are read when needed."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

Shape = tuple[int, ...]


@runtime_checkable
class StoredTensor(Protocol):
    """A tensor of a checkpoint."""

    @property
    def shape(self) -> Shape:
        """The shape, which is known before the tensor is read."""

    def load(self) -> np.ndarray:
        """Read the tensor."""


@dataclasses.dataclass(frozen=True, eq=False)
class StoredLeaf:
    """A leaf of the parameter tree that is still in its checkpoint.

    Attributes:
      shape: the shape, which is known before the leaf is read.
      read: reads one layer of a stacked leaf, given its number, or a whole leaf, given None.
      layers: the number of stacked layers, `L`; None for a leaf that is not stacked.
    """

    shape: Shape
    read: Callable[[int | None], np.ndarray]
    layers: int | None = None

    def load(self, dtype: Any = None) -> np.ndarray:
        """Read the whole leaf, one layer at a time.

        Args:
          dtype: the dtype of the result; by default the checkpoint's.

        Returns:
          The leaf.
        """
        if self.layers is None:
            return np.ascontiguousarray(self.read(None), dtype)
        stacked: Any = None
        for layer in range(self.layers):
            part = self.read(layer)
            if stacked is None:
                stacked = np.empty(self.shape, dtype or part.dtype)
            stacked[layer] = part
        return stacked


def in_memory(array: np.ndarray) -> StoredLeaf:
    """Return a leaf whose values are already in memory."""
    return StoredLeaf(array.shape, lambda _: array)
