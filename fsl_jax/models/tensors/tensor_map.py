"""Tensor maps, which map a checkpoint's tensor names to paths of leaves; one for each family."""

import dataclasses
import re
from collections.abc import Callable

import numpy as np

from fsl_jax.models.tensors.stored import Shape


@dataclasses.dataclass(frozen=True)
class Transform:
    """A change of a tensor into a leaf, and its inverse.

    Attributes:
      to_leaf: makes the leaf of one layer from the tensor.
      to_tensor: makes the tensor from the leaf of one layer.
      tensor_shape: computes the tensor's shape from the leaf's.
    """

    to_leaf: Callable[[np.ndarray], np.ndarray] = lambda tensor: tensor
    to_tensor: Callable[[np.ndarray], np.ndarray] = lambda leaf: leaf
    tensor_shape: Callable[[Shape], Shape] = lambda leaf_shape: leaf_shape


KEEP = Transform()
TRANSPOSE = Transform(np.transpose, np.transpose, lambda shape: shape[::-1])


@dataclasses.dataclass(frozen=True)
class TensorRule:
    """One rule of a tensor map, from a tensor to a leaf.

    Attributes:
      tensor: the tensor's name in a checkpoint, with `{layer}` for the number of a layer.
      path: the leaf's path in the tree. If the name has `{layer}`, the leaf is stacked.
      transform: the change of the tensor of one layer into the leaf.
      part: the index of the leaf's part in the tensor, and the number of parts, which have equal
        sizes. In a joined tensor of queries, keys and values, the keys are (1, 3). Other rules have
        the other parts.
      axis: the axis of the tensor along which the parts are joined.
    """

    tensor: str
    path: str
    transform: Transform = KEEP
    part: tuple[int, int] = (0, 1)
    axis: int = -1

    def tensor_shape(self, leaf_shape: Shape) -> Shape:
        """Return the shape of the whole tensor, given the shape of the leaf in one layer."""
        shape = list(self.transform.tensor_shape(leaf_shape))
        if self.part[1] > 1:
            shape[self.axis] *= self.part[1]
        return tuple(shape)

    def to_leaf(self, tensor: np.ndarray) -> np.ndarray:
        """Return the leaf that is in a tensor."""
        number, parts = self.part
        part = tensor if parts == 1 else np.split(tensor, parts, axis=self.axis)[number]
        return self.transform.to_leaf(part)


@dataclasses.dataclass(frozen=True)
class TensorMap:
    """The names of all tensors in a family's checkpoints, and the leaves that they become.

    Attributes:
      rules: one rule for each leaf.
      prefix: a prefix of names that only some checkpoints have, such as "bert.".
      renamed: pairs of an old part of names and its new form, which the rules use.
      ignored: regular expressions for tensors that are left out on purpose, such as buffers, and
        heads that the model does not have. They match whole names without the prefix.
    """

    rules: tuple[TensorRule, ...]
    prefix: str = ""
    renamed: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()

    def canonical(self, tensor: str) -> str:
        """Return a tensor's name without the prefix, and with old parts replaced by new ones."""
        for former, present in self.renamed:
            tensor = tensor.replace(former, present)
        return tensor.removeprefix(self.prefix)

    def is_ignored(self, tensor: str) -> bool:
        """Return True if the tensor with this canonical name is left out on purpose."""
        return any(re.fullmatch(pattern, tensor) for pattern in self.ignored)
