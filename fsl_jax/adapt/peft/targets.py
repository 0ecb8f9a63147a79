"""The layers that an adapter adapts, as named in its config by PEFT's rules."""

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fsl_jax.adapt.parts.patterns import find, pattern_problem
from fsl_jax.adapt.peft.modules import PREFIX, AdaptedModule, PeftModule
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.tensor_map import TensorMap

ALL_LINEAR = "all-linear"
"""PEFT's word for all linear layers but the output embedding."""

_FIELDS = ("target_modules", "exclude_modules", "layers_pattern")


@dataclasses.dataclass(frozen=True)
class Targets:
    """The layers that are adapted, as named by a config.

    Attributes:
      named: a regular expression for whole names, or names and ends of names; None if the config
        leaves the choice to PEFT.
      excluded: the layers that are left out, in the same form.
      layers: the numbers of the layers that are adapted; None for all.
      patterns: regular expressions for the text before the number of a layer; empty for any text.
    """

    named: str | tuple[str, ...] | None = None
    excluded: str | tuple[str, ...] = ()
    layers: frozenset[int] | None = None
    patterns: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Return True if a layer is adapted, given its whole name in the adapted model."""
        named, excluded = self._sets
        if _is_among(name, excluded) or not _is_among(name, named):
            return False
        # PEFT checks the number only if the config gives ends of names.
        return isinstance(named, str) or name in named or self._has_number(name)

    @functools.cached_property
    def _sets(self) -> tuple[str | frozenset[str], str | frozenset[str]]:
        """The names, and those that are left out: as sets, since a config may have many."""
        named, excluded = self.named or (), self.excluded
        return (
            named if isinstance(named, str) else frozenset(named),
            excluded if isinstance(excluded, str) else frozenset(excluded),
        )

    def _has_number(self, name: str) -> bool:
        if self.layers is None:
            return True
        for pattern in self.patterns or (r"[^.]+\.[^.]*",):
            # The first number counts: an expert of a mixture has another number after it.
            if match := find(rf"(?:.*?\.)??{pattern}\.(\d+)\.", name, "match"):
                return int(match[match.re.groups]) in self.layers
        return False


def read_targets(values: Mapping[str, Any]) -> Targets:
    """Read the targets from a config without `target_problems`.

    Args:
      values: the values of `adapter_config.json`.

    Returns:
      The targets.
    """
    named, layers = values.get("target_modules"), _listed(values.get("layers_to_transform"))
    if isinstance(named, str):
        named = ".*" if named.lower() == ALL_LINEAR else named
    elif named is not None:
        named = tuple(named)
    excluded = values.get("exclude_modules") or ()
    return Targets(
        named,
        excluded if isinstance(excluded, str) else tuple(excluded),
        frozenset(layers) or None,
        tuple(_listed(values.get("layers_pattern") or [])),
    )


def target_problems(values: Mapping[str, Any]) -> list[str]:
    """List the problems of the fields of a config that name layers."""
    problems = []
    for field in _FIELDS:
        value = values.get(field)
        if isinstance(value, dict) or not all(isinstance(name, str) for name in _listed(value)):
            problems.append(f"{field} is {value!r}; expected names")
        elif isinstance(value, str) or field == "layers_pattern":
            problems += [line for name in _listed(value) for line in pattern_problems(field, name)]
    layers = values.get("layers_to_transform")
    if not all(type(layer) is int for layer in _listed(layers)):
        problems.append(f"layers_to_transform is {layers!r}; expected numbers of layers")
    elif _listed(layers) and isinstance(values.get("target_modules"), str):
        problems.append(
            f"layers_to_transform is {layers!r} beside target_modules that are a regular "
            "expression, which PEFT does not allow; name the layers in one of them"
        )
    return problems


def pattern_of(paths: Iterable[str]) -> str:
    """Return a regular expression that matches exactly these paths, in their order."""
    return f"^({'|'.join(map(re.escape, paths))})$"


def pattern_problems(field: str, pattern: str) -> list[str]:
    """Return a line if a value in a field of a config is not a regular expression."""
    problem = pattern_problem(pattern)
    return (
        [f"{field} has {pattern!r}, which is no regular expression: {problem}"] if problem else []
    )


def find_adapted(
    tensors: Iterable[str], pretrained: Pretrained, modules: Sequence[PeftModule], targets: Targets
) -> tuple[list[AdaptedModule], list[str]]:
    """Return the layers that an adapter adapts.

    Args:
      tensors: the names of its tensors.
      pretrained: the base model.
      modules: the layers that this kind of adapter can adapt.
      targets: the layers that its config names. If the config leaves the choice to PEFT, the layers
        with tensors are adapted in their whole stack.

    Returns:
      The modules with an adapted copy, and the problems.
    """
    table = FAMILIES[pretrained.config.family].tensor_map(pretrained.config)
    stored = [name.removeprefix(PREFIX) for name in tensors]
    prefix = _prefix(stored or [module.name for module in modules], table)
    present = {table.canonical(name) for name in stored}
    adapted = []
    for module in modules:
        canonical = [table.canonical(name) for name, _ in module.named_copies()]
        if targets.named is None:
            chosen = [any(name.startswith(f"{copy}.") for copy in canonical for name in present)]
            chosen *= len(canonical)
        else:
            chosen = [targets.has(prefix + name) for name in canonical]
        if any(chosen):
            pairs = zip(canonical, chosen, strict=True)
            adapted.append(
                AdaptedModule(
                    module, tuple(prefix + name if is_chosen else None for name, is_chosen in pairs)
                )
            )
    return adapted, _target_problems(targets, modules, adapted)


def layers_setting(adapted: Sequence[AdaptedModule]) -> str:
    """Return the value of a method's setting `layers` for the adapted layers.

    Args:
      adapted: the linear layers that are adapted.

    Returns:
      The numbers of the layers; 'all' if all are adapted, or if the numbers differ between linear
      layers: then the leaves have zeros for the layers that are left out.
    """
    chosen = {tuple(np.flatnonzero([name is not None for name in x.names])) for x in adapted}
    alone = any(each.copies is None for each in adapted)
    if alone or len(chosen) > 1 or all(each.is_whole for each in adapted):
        return "all"
    return ",".join(map(str, *chosen))


def _prefix(names: Sequence[str], table: TensorMap) -> str:
    """Return the prefix of names in the adapted model, which depends on its class."""
    return table.prefix if any(name.startswith(table.prefix) for name in names) else ""


def _target_problems(
    targets: Targets, modules: Sequence[PeftModule], adapted: Sequence[AdaptedModule]
) -> list[str]:
    problems = []
    depth = max(module.copies or 0 for module in modules)
    absent = [number for number in sorted(targets.layers or ()) if not 0 <= number < depth]
    if absent:
        problems.append(
            f"layers_to_transform has {absent}; the layers are numbered from 0 to {depth - 1}"
        )
    if not adapted and targets.named is None:
        problems.append("no layer has tensors")
    elif not adapted:
        problems.append(
            f"target_modules {targets.named!r} name no layer that this kind of adapter is for, or "
            "none is left in"
        )
    return problems


def _is_among(name: str, named: str | frozenset[str]) -> bool:
    """Return True if a regular expression matches a name, or a list has the name or its end."""
    if isinstance(named, str):
        return bool(find(named, name, "fullmatch"))
    parts = name.split(".")
    return any(".".join(parts[start:]) in named for start in range(len(parts)))


def _listed(value: Any) -> list[Any]:
    """Return a value as a list, since PEFT treats a single value as a list of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
