"""Whole modules that an adapter brings: PEFT's `modules_to_save`, such as a classifier's head.

PEFT saves them under their names in Hugging Face's model. Here they become leaves of the base or of
its head. A head is read if the base was loaded with a head of the same kind.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from fsl_jax.adapt.peft.adapter_reader import AdapterReader
from fsl_jax.adapt.peft.brought_head import (
    foreign_head,
    head_rules,
    is_inside,
    listed_modules,
    renamed_for_task,
)
from fsl_jax.adapt.peft.modules import inner_name
from fsl_jax.adapt.peft.tied_embeddings import read_copies
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.tensors.tensor_map import TensorRule


@dataclasses.dataclass(frozen=True)
class _Target:
    """The leaf, or the layer of a stacked leaf, that a tensor replaces.

    Attributes:
      rule: the rule for the tensor.
      layer: the number of the layer; None for a leaf that is not stacked.
    """

    rule: TensorRule
    layer: int | None

    def shape(self, leaves: Mapping[str, Any]) -> tuple[int, ...]:
        """Return the shape of the tensor, from the leaves of the base by path."""
        shape = leaves[self.rule.path].shape
        return self.rule.tensor_shape(shape if self.layer is None else shape[1:])


def take_brought(reader: AdapterReader) -> tuple[AdapterReader, dict[str, np.ndarray]]:
    """Read the modules that an adapter brings, and report their problems.

    Args:
      reader: the adapter.

    Returns:
      The adapter without the tensors of these modules, and their leaves by path, float32. A stacked
      leaf has the base's values in the layers that the adapter does not bring.
    """
    reader = renamed_for_task(reader)
    listed = listed_modules(reader.values)
    if not listed and (given := reader.values.get("modules_to_save")) not in (None, []):
        reader.report([f"modules_to_save is {given!r}; expected names of modules"])
    base = flatten(reader.pretrained.params)
    table = FAMILIES[reader.pretrained.config.family].tensor_map(reader.pretrained.config)
    targets = dict(_targets(reader, base))
    by_name = {table.canonical(inner_name(name)): name for name in reader.tensors}
    brought = {name: reader.tensors[full] for name, full in by_name.items() if name in targets}
    reader.report(_missing(listed, targets, brought, table.prefix))
    problems, copies = read_copies(reader, brought, by_name)
    reader.report(problems)
    others = {name: full for name, full in by_name.items() if name not in targets}
    problem, heads = foreign_head(reader, others)
    reader.report(problem)
    reader.report(_shape_problems(brought, by_name, targets, base))
    taken = {by_name[name] for name in brought} | heads | copies
    rest = {name: tensor for name, tensor in reader.tensors.items() if name not in taken}
    leaves = {} if reader.problems else _leaves(brought, targets, base)
    return dataclasses.replace(reader, tensors=rest), leaves


def _targets(
    reader: AdapterReader, base: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[_Target, ...]]]:
    """Yield the leaves that each tensor replaces, by the tensor's name without a prefix."""
    table = FAMILIES[reader.pretrained.config.family].tensor_map(reader.pretrained.config)
    by_tensor: dict[str, list[TensorRule]] = {}
    for rule in (*table.rules, *head_rules(reader)):
        if rule.path in base:
            by_tensor.setdefault(table.canonical(rule.tensor), []).append(rule)
    for name, rules in by_tensor.items():
        if "{layer}" not in name:
            yield name, tuple(_Target(rule, None) for rule in rules)
            continue
        for layer in range(base[rules[0].path].shape[0]):
            yield name.format(layer=layer), tuple(_Target(rule, layer) for rule in rules)


def _missing(
    listed: Iterable[str], targets: Iterable[str], brought: Iterable[str], prefix: str
) -> list[str]:
    """List the tensors that a module in `modules_to_save` has and the file lacks.

    PEFT takes each name as the end of a module's name, and passes over names without a module.
    """
    ends, present = tuple(set(listed)), set(brought)
    return [
        f"missing: {name}, of a module in modules_to_save"
        for name in targets
        if name not in present and ends and is_inside(prefix + name, ends)
    ]


def _shape_problems(
    brought: Mapping[str, np.ndarray],
    by_name: Mapping[str, str],
    targets: Mapping[str, tuple[_Target, ...]],
    base: Mapping[str, Any],
) -> list[str]:
    problems = []
    for name, tensor in brought.items():
        expected = targets[name][0].shape(base)
        if tensor.shape != expected:
            problems.append(
                f"wrong shape: {by_name[name]} is {list(tensor.shape)}, expected {list(expected)}"
            )
    return problems


def _leaves(
    brought: Mapping[str, np.ndarray],
    targets: Mapping[str, tuple[_Target, ...]],
    base: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    leaves: dict[str, np.ndarray] = {}
    for name, tensor in brought.items():
        for target in targets[name]:
            path, leaf = target.rule.path, target.rule.to_leaf(np.asarray(tensor, np.float32))
            if target.layer is None:
                leaves[path] = np.ascontiguousarray(leaf)
                continue
            if path not in leaves:
                leaves[path] = np.array(base[path], np.float32)
            leaves[path][target.layer] = leaf
    return leaves
