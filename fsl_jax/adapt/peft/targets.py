"""Which layers an adapter is of, as its config names them by PEFT's rules."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fsl_jax.adapt.peft.modules import PREFIX, Adapted, Module
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.tensor_map import TensorMap

ALL_LINEAR = "all-linear"
"""PEFT's word for all linear layers but the output embedding."""

_FIELDS = ("target_modules", "exclude_modules", "layers_pattern")


@dataclasses.dataclass(frozen=True)
class Targets:
    """What a config says of the layers that are adapted.

    Attributes:
      named: a regular expression of whole names, or names and ends of names; None where the config
        leaves it to PEFT.
      excluded: likewise, what is left out.
      layers: the numbers of the layers that are adapted; None for all.
      patterns: regular expressions of what stands before the number of a layer; none for anything.
    """

    named: str | tuple[str, ...] | None = None
    excluded: str | tuple[str, ...] = ()
    layers: frozenset[int] | None = None
    patterns: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Whether a layer is adapted, by its whole name in the adapted model."""
        if _is_among(name, self.excluded) or not _is_among(name, self.named or ()):
            return False
        # PEFT asks for the number only where the end of a name is given.
        return isinstance(self.named, str) or name in (self.named or ()) or self._has_number(name)

    def _has_number(self, name: str) -> bool:
        if self.layers is None:
            return True
        for pattern in self.patterns or (r"[^.]+\.[^.]*",):
            # The first number counts: an expert of a mixture has another one behind.
            if match := re.match(rf"(?:.*?\.)??{pattern}\.(\d+)\.", name):
                return int(match[match.re.groups]) in self.layers
        return False


def read_targets(values: Mapping[str, Any]) -> Targets:
    """What a config that has no faults says of the layers.

    Args:
      values: what `adapter_config.json` says.

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
    """What keeps the names of layers in a config from being read, a line for each fault."""
    found = []
    for field in _FIELDS:
        value = values.get(field)
        if not all(isinstance(name, str) for name in _listed(value)):
            found.append(f"{field} is {value!r}; expected names")
        elif isinstance(value, str) or field == "layers_pattern":
            found += [fault for each in _listed(value) for fault in pattern_problems(field, each)]
    layers = values.get("layers_to_transform")
    if not all(isinstance(layer, int) for layer in _listed(layers)):
        found.append(f"layers_to_transform is {layers!r}; expected numbers of layers")
    elif _listed(layers) and isinstance(values.get("target_modules"), str):
        found.append(
            f"layers_to_transform is {layers!r} beside target_modules that are a regular "
            "expression, which PEFT does not allow; name the layers in one of them"
        )
    return found


def pattern_problems(field: str, pattern: str) -> list[str]:
    """A line where a field of a config should be a regular expression and is none."""
    try:
        re.compile(pattern)
    except re.error as error:
        return [f"{field} has {pattern!r}, which is no regular expression: {error}"]
    return []


def find_adapted(
    tensors: Iterable[str], pretrained: Pretrained, modules: Sequence[Module], targets: Targets
) -> tuple[list[Adapted], list[str]]:
    """The layers that an adapter is of.

    Args:
      tensors: the names of its tensors.
      pretrained: the base model.
      modules: the layers there are that this kind of adapter can be of.
      targets: what its config says of them. Where it leaves them to PEFT, those that have tensors
        are adapted in all layers of their stack.

    Returns:
      Those of which any copy is adapted, and what is wrong.
    """
    table = FAMILIES[pretrained.config.family].tensor_map(pretrained.config)
    stored = [name.removeprefix(PREFIX) for name in tensors]
    prefix = _prefix(stored or [module.name for module in modules], table)
    present = {table.canonical(name) for name in stored}
    adapted = []
    for module in modules:
        canonical = [table.canonical(name) for name, _ in module.each()]
        if targets.named is None:
            chosen = [any(name.startswith(f"{each}.") for each in canonical for name in present)]
            chosen *= len(canonical)
        else:
            chosen = [targets.has(prefix + name) for name in canonical]
        if any(chosen):
            pairs = zip(canonical, chosen, strict=True)
            adapted.append(Adapted(module, tuple(prefix + x if it else None for x, it in pairs)))
    return adapted, _target_problems(targets, modules, adapted)


def layers_setting(adapted: Sequence[Adapted]) -> str:
    """How a method's setting says which layers are adapted.

    Args:
      adapted: the linear layers that are.

    Returns:
      The numbers; 'all' where all are, and where the kinds of linear layers differ in it: the
      leaves have zeros then for the layers that are left out.
    """
    chosen = {tuple(np.flatnonzero([name is not None for name in x.names])) for x in adapted}
    alone = any(each.module.copies is None for each in adapted)
    if alone or len(chosen) > 1 or all(each.is_whole for each in adapted):
        return "all"
    return ",".join(map(str, *chosen))


def _prefix(names: Sequence[str], table: TensorMap) -> str:
    """What the adapted model puts before names, which depends on its class."""
    return table.prefix if any(name.startswith(table.prefix) for name in names) else ""


def _target_problems(
    targets: Targets, modules: Sequence[Module], adapted: Sequence[Adapted]
) -> list[str]:
    found = []
    depth = max(module.copies or 0 for module in modules)
    absent = [number for number in sorted(targets.layers or ()) if not 0 <= number < depth]
    if absent:
        found.append(
            f"layers_to_transform has {absent}; the layers are numbered from 0 to {depth - 1}"
        )
    if not adapted and targets.named is None:
        found.append("no layer has tensors")
    elif not adapted:
        found.append(
            f"target_modules {targets.named!r} name no layer that this kind of adapter is for, or "
            "none is left in"
        )
    return found


def _is_among(name: str, named: str | tuple[str, ...]) -> bool:
    """Whether a regular expression matches a whole name, or a name is listed or its end is."""
    if isinstance(named, str):
        return bool(re.fullmatch(named, name))
    return any(f".{name}".endswith(f".{end}") for end in named)


def _listed(value: Any) -> list[Any]:
    """PEFT takes one for a list of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
