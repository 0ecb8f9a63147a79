"""The linear layers that IA3 scales at their input: PEFT calls them feedforward modules."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fsl_jax.adapt.parts.patterns import find
from fsl_jax.adapt.peft.modules import PREFIX, AdaptedModule, PeftModule, target_modules
from fsl_jax.adapt.peft.targets import pattern_problems

_FIELD = "feedforward_modules"


@dataclasses.dataclass(frozen=True)
class Feedforward:
    """The layers whose input is scaled, as named by a config.

    Attributes:
      named: a regular expression for whole names, or ends of names, which need not start after a
        dot: `o` is an end of `wo`.
    """

    named: str | tuple[str, ...]

    @classmethod
    def read(cls, values: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> "Feedforward":
        """Read the layers from a config without `feedforward_problems`.

        Args:
          values: the values of `adapter_config.json`.
          tensors: the tensors by PEFT's names. If the config leaves the choice to PEFT, their
            orientation shows it.

        Returns:
          The layers.
        """
        named = values.get(_FIELD)
        if isinstance(named, str):
            return cls(named)
        if named is not None:
            return cls(tuple(named))
        lying = [name for name, tensor in tensors.items() if tensor.shape[:1] == (1,)]
        return cls(tuple(name.removeprefix(PREFIX).removesuffix(".ia3_l") for name in lying))

    def has(self, name: str) -> bool:
        """Return True if a layer's input is scaled, given its whole name in the adapted model."""
        if isinstance(self.named, str):
            return bool(find(self.named, name, "fullmatch"))
        return name.endswith(self.named)

    def misfits(self, adapted: Sequence[AdaptedModule]) -> list[str]:
        """List the linear layers whose input the tree cannot scale as the config requires."""
        problems = []
        for module in adapted:
            kinds = {self.has(name) for name, _ in module.named_copies()}
            if len(kinds) > 1:
                problems.append(f"{_FIELD} names {module.name} in some of the layers only")
            elif kinds == {True} and len(module.paths) > 1:
                problems.append(
                    f"{_FIELD} names {module.name}, which is {len(module.paths)} layers here, "
                    "each with an input of its own"
                )
        return problems


def feedforward_problems(values: Mapping[str, Any]) -> list[str]:
    """List the problems of the field that names the layers whose input is scaled."""
    named, targets = values.get(_FIELD), values.get("target_modules")
    if named is None:
        return []
    if isinstance(named, str):
        return pattern_problems(_FIELD, named)
    if not (isinstance(named, list) and all(isinstance(name, str) for name in named)):
        return [f"{_FIELD} is {named!r}; expected names"]
    if not isinstance(targets, list):
        return []
    others = sorted(set(named) - {name for name in targets if isinstance(name, str)})
    if others:
        return [f"{_FIELD} has {others}, which target_modules has not; PEFT does not allow that"]
    return []


def feedforward_modules(
    inputs: Sequence[AdaptedModule], outputs: Sequence[AdaptedModule], modules: Sequence[PeftModule]
) -> list[str]:
    """Return the ends of names by which PEFT finds exactly these feedforward modules.

    Args:
      inputs: the linear layers whose input is scaled.
      outputs: the linear layers whose output is scaled.
      modules: all linear layers.

    Returns:
      The ends; whole names if an end also matches a layer whose output is scaled.
    """
    ends = target_modules(inputs, modules)
    others = [name for each in outputs for name, _ in each.named_copies()]
    if any(name.endswith(tuple(ends)) for name in others):
        return sorted(name for each in inputs for name, _ in each.named_copies())
    return ends
