"""From the names of a checkpoint's tensors to paths in the tree and back: one table per family."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from fsl_jax.errors import faults

Shape = tuple[int, ...]


@runtime_checkable
class StoredTensor(Protocol):
    """A tensor of a checkpoint, read when it is asked for."""

    @property
    def shape(self) -> Shape:
        """Its shape, known without reading it."""

    def load(self) -> np.ndarray:
        """Reads it."""


@dataclasses.dataclass(frozen=True)
class Transform:
    """How a tensor of a checkpoint becomes a leaf, and how a leaf becomes the tensor again."""

    to_leaf: Callable[[np.ndarray], np.ndarray] = lambda tensor: tensor
    to_tensor: Callable[[np.ndarray], np.ndarray] = lambda leaf: leaf
    tensor_shape: Callable[[Shape], Shape] = lambda leaf_shape: leaf_shape


KEEP = Transform()
TRANSPOSE = Transform(np.transpose, np.transpose, lambda shape: shape[::-1])


@dataclasses.dataclass(frozen=True)
class Name:
    """One line of a table.

    Attributes:
      tensor: the tensor's name in a checkpoint; `{layer}` stands for a layer's number.
      path: the leaf's path in the tree; where the name has `{layer}`, the leaf is stacked.
      transform: what happens to the tensor of one layer.
    """

    tensor: str
    path: str
    transform: Transform = KEEP


@dataclasses.dataclass(frozen=True)
class NameTable:
    """All names of a family's checkpoints.

    Attributes:
      names: one entry for each leaf.
      prefix: what some checkpoints put before some names and others do not ("bert.").
      renamed: former parts of names, and what they are called in `names`.
      ignored: regular expressions of names that are left out on purpose, matched in full against
        a name without the prefix: buffers, and heads that the model does not have here.
    """

    names: tuple[Name, ...]
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

    entry: Name
    layer: int | None
    shape: Shape


def read_leaves(
    source: str,
    tensors: Mapping[str, StoredTensor],
    table: NameTable,
    shapes: Mapping[str, Shape],
) -> Iterator[tuple[str, np.ndarray]]:
    """Reads the leaves of a parameter tree from a checkpoint, one at a time.

    Every name and shape is checked before the first leaf is read.

    Args:
      source: the checkpoint, for errors.
      tensors: the tensors of the checkpoint by name.
      table: the family's names.
      shapes: the shape of each leaf of the tree by path, stacked leaves `[L, ...]`.

    Returns:
      An iterator over paths and leaves, in the dtype of the checkpoint.

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
        raise faults(
            f"{source}: the weights do not fit the model that its config describes. Use the config "
            "and the weights of the same checkpoint.",
            problems,
        )
    return _leaves(tensors, table, found, shapes)


def _match(
    tensors: Mapping[str, StoredTensor], table: NameTable, targets: Mapping[str, _Target]
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


def _targets(table: NameTable, shapes: Mapping[str, Shape]) -> Iterator[tuple[str, _Target]]:
    for entry in table.names:
        shape = shapes[entry.path]
        name = table.canonical(entry.tensor)
        if "{layer}" not in name:
            yield name, _Target(entry, None, entry.transform.tensor_shape(shape))
            continue
        for layer in range(shape[0]):
            target = _Target(entry, layer, entry.transform.tensor_shape(shape[1:]))
            yield name.format(layer=layer), target


def _leaves(
    tensors: Mapping[str, StoredTensor],
    table: NameTable,
    found: Mapping[str, str],
    shapes: Mapping[str, Shape],
) -> Iterator[tuple[str, np.ndarray]]:
    for entry in table.names:
        name = table.canonical(entry.tensor)

        def leaf(name: str, entry: Name = entry) -> np.ndarray:
            return entry.transform.to_leaf(tensors[found[name]].load())

        if "{layer}" not in name:
            yield entry.path, np.ascontiguousarray(leaf(name))
            continue
        stacked: Any = None
        for layer in range(shapes[entry.path][0]):
            one = leaf(name.format(layer=layer))
            if stacked is None:
                stacked = np.empty(shapes[entry.path], one.dtype)
            stacked[layer] = one
        yield entry.path, stacked


def write_tensors(
    leaves: Mapping[str, np.ndarray | jax.Array], table: NameTable
) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of a checkpoint from the leaves of a tree: the table read the other way.

    Args:
      leaves: the leaves by path, stacked ones `[L, ...]`.
      table: the family's names.

    Returns:
      An iterator over the names and tensors of the checkpoint.
    """
    for entry in table.names:
        leaf = np.asarray(leaves[entry.path])
        if "{layer}" not in entry.tensor:
            yield entry.tensor, entry.transform.to_tensor(leaf)
            continue
        for layer, one in enumerate(leaf):
            yield entry.tensor.format(layer=layer), entry.transform.to_tensor(one)
