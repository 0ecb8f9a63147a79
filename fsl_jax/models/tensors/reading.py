"""Read a checkpoint: from its tensors to the leaves of the parameter tree."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from fsl_jax.errors import problems_error
from fsl_jax.models.tensors.stored import Shape, StoredLeaf, StoredTensor
from fsl_jax.models.tensors.tensor_map import TensorMap, TensorRule


@dataclasses.dataclass(frozen=True)
class _Target:
    """The leaf, or the layer of a stacked leaf, that a tensor is for.

    Attributes:
      rule: the rule for the tensor.
      layer: the number of the layer; None for a leaf that is not stacked.
      shape: the shape that the tensor must have.
    """

    rule: TensorRule
    layer: int | None
    shape: Shape


def read_leaves(
    source: str,
    tensors: Mapping[str, StoredTensor],
    tensor_map: TensorMap,
    shapes: Mapping[str, Shape],
) -> Iterator[tuple[str, StoredLeaf]]:
    """Find the leaves of a parameter tree in a checkpoint.

    This checks every name and every shape, without reading a tensor.

    Args:
      source: the checkpoint, for errors.
      tensors: the checkpoint's tensors by name.
      tensor_map: the tensor map of the model and its head.
      shapes: the shape of each leaf of the tree by path, `[L, ...]` for stacked leaves.

    Returns:
      An iterator over paths and leaves, which can be read one at a time.

    Raises:
      InputError: tensors are unknown, missing, duplicate, or of the wrong shape. The error lists
        all.
    """
    targets = dict(_targets(tensor_map, shapes))
    stored_names, problems = _match(tensors, tensor_map, targets)
    problems += [f"missing: {name}" for name in targets if name not in stored_names]
    for name, stored in stored_names.items():
        shape, expected = tuple(tensors[stored].shape), targets[name].shape
        if shape != expected:
            problems.append(f"wrong shape: {stored} is {list(shape)}, expected {list(expected)}")
    if problems:
        raise problems_error(
            f"{source}: the weights do not fit the model that its config describes. Use the config "
            "and the weights of the same checkpoint.",
            problems,
        )
    return _leaves(tensors, tensor_map, stored_names, shapes)


def _match(
    tensors: Mapping[str, StoredTensor], tensor_map: TensorMap, targets: Mapping[str, _Target]
) -> tuple[dict[str, str], list[str]]:
    """Return the stored names of tensors by canonical name, and the problems with names."""
    stored_names: dict[str, str] = {}
    problems = []
    for stored in tensors:
        name = tensor_map.canonical(stored)
        if name in stored_names:
            problems.append(f"duplicate: {stored_names[name]} and {stored} are the same tensor")
        elif name in targets:
            stored_names[name] = stored
        elif not tensor_map.is_ignored(name):
            problems.append(f"not known: {stored}")
    return stored_names, problems


def _targets(tensor_map: TensorMap, shapes: Mapping[str, Shape]) -> Iterator[tuple[str, _Target]]:
    for rule in tensor_map.rules:
        shape = shapes[rule.path]
        name = tensor_map.canonical(rule.tensor)
        if "{layer}" not in name:
            yield name, _Target(rule, None, rule.tensor_shape(shape))
            continue
        for layer in range(shape[0]):
            target = _Target(rule, layer, rule.tensor_shape(shape[1:]))
            yield name.format(layer=layer), target


def _leaves(
    tensors: Mapping[str, StoredTensor],
    tensor_map: TensorMap,
    stored_names: Mapping[str, str],
    shapes: Mapping[str, Shape],
) -> Iterator[tuple[str, StoredLeaf]]:
    for rule in tensor_map.rules:
        name, shape = tensor_map.canonical(rule.tensor), shapes[rule.path]

        def read(layer: int | None, name: str = name, rule: TensorRule = rule) -> np.ndarray:
            tensor = name if layer is None else name.format(layer=layer)
            return rule.to_leaf(tensors[stored_names[tensor]].load())

        yield rule.path, StoredLeaf(shape, read, shape[0] if "{layer}" in name else None)
