"""From the names of a checkpoint's tensors to paths in the tree and back: one table per family."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from fsl_jax.errors import problems_error

Shape = tuple[int, ...]


@runtime_checkable
class StoredTensor(Protocol):
    """A tensor of a checkpoint, read when it is asked for."""

    @property
    def shape(self) -> Shape:
        """Its shape, known without reading it."""

    def load(self) -> np.ndarray:
        """Reads it."""


@dataclasses.dataclass(frozen=True, eq=False)
class StoredLeaf:
    """A leaf of the tree that is still in its checkpoint.

    Attributes:
      shape: its shape, known without reading it.
      read: reads one layer of a stacked leaf, by its number, and another leaf whole, by None.
      layers: L, how many layers are stacked in it; None for a leaf that is not of a layer.
    """

    shape: Shape
    read: Callable[[int | None], np.ndarray]
    layers: int | None = None

    def load(self, dtype: Any = None) -> np.ndarray:
        """Reads it whole, one layer at a time; in the checkpoint's dtype unless one is given."""
        if self.layers is None:
            return np.ascontiguousarray(self.read(None), dtype)
        stacked: Any = None
        for layer in range(self.layers):
            one = self.read(layer)
            if stacked is None:
                stacked = np.empty(self.shape, dtype or one.dtype)
            stacked[layer] = one
        return stacked


@dataclasses.dataclass(frozen=True)
class Transform:
    """How a tensor of a checkpoint becomes a leaf, and how a leaf becomes the tensor again."""

    to_leaf: Callable[[np.ndarray], np.ndarray] = lambda tensor: tensor
    to_tensor: Callable[[np.ndarray], np.ndarray] = lambda leaf: leaf
    tensor_shape: Callable[[Shape], Shape] = lambda leaf_shape: leaf_shape


KEEP = Transform()
TRANSPOSE = Transform(np.transpose, np.transpose, lambda shape: shape[::-1])


@dataclasses.dataclass(frozen=True)
class TensorRule:
    """One line of a table.

    Attributes:
      tensor: the tensor's name in a checkpoint; `{layer}` stands for a layer's number.
      path: the leaf's path in the tree; where the name has `{layer}`, the leaf is stacked.
      transform: what happens to the tensor of one layer.
      part: which part of the tensor it is, and of how many equal ones along an axis of the tensor:
        (1, 3) is the keys in one tensor of queries, keys and values. Other names have the others.
      axis: of the tensor, along which its parts lie.
    """

    tensor: str
    path: str
    transform: Transform = KEEP
    part: tuple[int, int] = (0, 1)
    axis: int = -1

    def tensor_shape(self, leaf_shape: Shape) -> Shape:
        """The shape of the whole tensor, from that of the leaf in one layer."""
        shape = list(self.transform.tensor_shape(leaf_shape))
        if self.part[1] > 1:
            shape[self.axis] *= self.part[1]
        return tuple(shape)

    def to_leaf(self, tensor: np.ndarray) -> np.ndarray:
        """The leaf that is in a tensor."""
        number, parts = self.part
        own = tensor if parts == 1 else np.split(tensor, parts, axis=self.axis)[number]
        return self.transform.to_leaf(own)


@dataclasses.dataclass(frozen=True)
class TensorMap:
    """All names of a family's checkpoints.

    Attributes:
      names: one entry for each leaf.
      prefix: what some checkpoints put before some names and others do not ("bert.").
      renamed: former parts of names, and what they are called in `names`.
      ignored: regular expressions of names that are left out on purpose, matched in full against
        a name without the prefix: buffers, and heads that the model does not have here.
    """

    rules: tuple[TensorRule, ...]
    prefix: str = ""
    renamed: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()

    def canonical(self, tensor: str) -> str:
        """The name without the prefix, and with no former parts."""
        for former, present in self.renamed:
            tensor = tensor.replace(former, present)
        return tensor.removeprefix(self.prefix)

    def is_ignored(self, tensor: str) -> bool:
        """Whether a canonical name is left out on purpose."""
        return any(re.fullmatch(pattern, tensor) for pattern in self.ignored)


@dataclasses.dataclass(frozen=True)
class _Target:
    """Where a tensor goes: the leaf at `path`, or the slice `layer` of it."""

    entry: TensorRule
    layer: int | None
    shape: Shape


def read_leaves(
    source: str,
    tensors: Mapping[str, StoredTensor],
    table: TensorMap,
    shapes: Mapping[str, Shape],
) -> Iterator[tuple[str, StoredLeaf]]:
    """Finds the leaves of a parameter tree in a checkpoint.

    Every name and shape is checked; nothing is read.

    Args:
      source: the checkpoint, for errors.
      tensors: the tensors of the checkpoint by name.
      table: the family's names.
      shapes: the shape of each leaf of the tree by path, stacked leaves `[L, ...]`.

    Returns:
      An iterator over paths and leaves, which can be read one at a time.

    Raises:
      InputError: tensors are not known, missing, there twice, or of the wrong shape; it lists all.
    """
    targets = dict(_targets(table, shapes))
    found, problems = _match(tensors, table, targets)
    problems += [f"missing: {name}" for name in targets if name not in found]
    for name, given in found.items():
        shape, expected = tuple(tensors[given].shape), targets[name].shape
        if shape != expected:
            problems.append(f"wrong shape: {given} is {list(shape)}, expected {list(expected)}")
    if problems:
        raise problems_error(
            f"{source}: the weights do not fit the model that its config describes. Use the config "
            "and the weights of the same checkpoint.",
            problems,
        )
    return _leaves(tensors, table, found, shapes)


def _match(
    tensors: Mapping[str, StoredTensor], table: TensorMap, targets: Mapping[str, _Target]
) -> tuple[dict[str, str], list[str]]:
    """Finds each canonical name's tensor; names that are not known or there twice are problems."""
    found: dict[str, str] = {}
    problems = []
    for given in tensors:
        name = table.canonical(given)
        if name in found:
            problems.append(f"duplicate: {found[name]} and {given} are the same tensor")
        elif name in targets:
            found[name] = given
        elif not table.is_ignored(name):
            problems.append(f"not known: {given}")
    return found, problems


def _targets(table: TensorMap, shapes: Mapping[str, Shape]) -> Iterator[tuple[str, _Target]]:
    for entry in table.rules:
        shape = shapes[entry.path]
        name = table.canonical(entry.tensor)
        if "{layer}" not in name:
            yield name, _Target(entry, None, entry.tensor_shape(shape))
            continue
        for layer in range(shape[0]):
            target = _Target(entry, layer, entry.tensor_shape(shape[1:]))
            yield name.format(layer=layer), target


def _leaves(
    tensors: Mapping[str, StoredTensor],
    table: TensorMap,
    found: Mapping[str, str],
    shapes: Mapping[str, Shape],
) -> Iterator[tuple[str, StoredLeaf]]:
    for entry in table.rules:
        name, shape = table.canonical(entry.tensor), shapes[entry.path]

        def read(layer: int | None, name: str = name, entry: TensorRule = entry) -> np.ndarray:
            tensor = name if layer is None else name.format(layer=layer)
            return entry.to_leaf(tensors[found[tensor]].load())

        yield entry.path, StoredLeaf(shape, read, shape[0] if "{layer}" in name else None)


def write_tensors(
    leaves: Mapping[str, np.ndarray | jax.Array], table: TensorMap
) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of a checkpoint from the leaves of a tree: the table read the other way.

    Args:
      leaves: the leaves by path, stacked ones `[L, ...]`.
      table: the family's names.

    Returns:
      An iterator over the names and tensors of the checkpoint.
    """
    for tensor, entries in _by_tensor(table).items():
        whole = [(entry, np.asarray(leaves[entry.path])) for entry in entries]
        if "{layer}" not in tensor:
            yield tensor, _joined(whole)
            continue
        for layer in range(len(whole[0][1])):
            yield (
                tensor.format(layer=layer),
                _joined([(entry, leaf[layer]) for entry, leaf in whole]),
            )


def _by_tensor(table: TensorMap) -> dict[str, list[TensorRule]]:
    """The entries of each tensor, in the order of its parts."""
    entries: dict[str, list[TensorRule]] = {}
    for entry in sorted(table.rules, key=lambda entry: entry.part):
        entries.setdefault(entry.tensor, []).append(entry)
    return entries


def _joined(parts: list[tuple[TensorRule, np.ndarray]]) -> np.ndarray:
    tensors = [entry.transform.to_tensor(leaf) for entry, leaf in parts]
    return tensors[0] if len(tensors) == 1 else np.concatenate(tensors, axis=parts[0][0].axis)
