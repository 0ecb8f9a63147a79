"""Which linear layers IA3 scales at their input: PEFT calls them feedforward modules."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fsl_jax.adapt.peft.modules import PREFIX, Adapted, Module, target_modules
from fsl_jax.adapt.peft.targets import pattern_problems

_FIELD = "feedforward_modules"


@dataclasses.dataclass(frozen=True)
class Feedforward:
    """What a config says of the layers whose input is scaled.

    Attributes:
      named: a regular expression of whole names, or ends of names, wherever these begin: `o` is an
        end of `wo`.
    """

    named: str | tuple[str, ...]

    @classmethod
    def read(cls, values: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> "Feedforward":
        """From a config of which `feedforward_problems` finds none.

        Args:
          values: what `adapter_config.json` says.
          tensors: by PEFT's names. Where the config leaves it to PEFT, they show it by lying.

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
        """Whether a layer's input is scaled, by its whole name in the adapted model."""
        if isinstance(self.named, str):
            return bool(re.fullmatch(self.named, name))
        return name.endswith(self.named)

    def misfits(self, adapted: Sequence[Adapted]) -> list[str]:
        """A line for each linear layer that the tree cannot scale so."""
        found = []
        for each in adapted:
            kinds = {self.has(name) for name, _ in each.each()}
            if len(kinds) > 1:
                found.append(f"{_FIELD} names {each.module.name} in some of the layers only")
            elif kinds == {True} and each.module.parts:
                found.append(
                    f"{_FIELD} names {each.module.name}, which is {len(each.paths)} layers here, "
                    "each with an input of its own"
                )
        return found


def feedforward_problems(values: Mapping[str, Any]) -> list[str]:
    """What keeps the layers whose input is scaled from being read, a line for each fault."""
    named, targets = values.get(_FIELD), values.get("target_modules")
    if named is None:
        return []
    if isinstance(named, str):
        return pattern_problems(_FIELD, named)
    if not (isinstance(named, list) and all(isinstance(name, str) for name in named)):
        return [f"{_FIELD} is {named!r}; expected names"]
    others = sorted(set(named) - set(targets)) if isinstance(targets, list) else []
    if others:
        return [f"{_FIELD} has {others}, which target_modules has not; PEFT does not allow that"]
    return []


def feedforward_modules(
    inputs: Sequence[Adapted], outputs: Sequence[Adapted], modules: Sequence[Module]
) -> list[str]:
    """The ends of names by which PEFT takes these layers for feedforward modules, and no others.

    Args:
      inputs: the linear layers whose input is scaled.
      outputs: those whose output is.
      modules: all that there are.

    Returns:
      The ends; whole names where an end is also one of a layer whose output is scaled.
    """
    ends = target_modules(inputs, modules)
    others = [name for each in outputs for name, _ in each.each()]
    if any(name.endswith(tuple(ends)) for name in others):
        return sorted(name for each in inputs for name, _ in each.each())
    return ends
