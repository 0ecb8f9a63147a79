"""Joined methods, such as `lora+prompt_tuning`, or MAM, which joins a prefix and parallel adapters.

MAM is `prefix_tuning+adapter(placement='parallel', scale=4)`: He et al., 2022, "Towards a Unified
View of Parameter-Efficient Transfer Learning", https://arxiv.org/abs/2110.04366.
"""

import dataclasses
import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import jax
from jaxtyping import Array, Float, Int

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.top_layers import TopLayers
from fsl_jax.adapt.parts.patterns import find
from fsl_jax.adapt.tree import Params, flatten
from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.pretrained import Pretrained


@dataclasses.dataclass(frozen=True)
class Joined(Method):
    """Applies several methods, its parts, one after the other.

    It adds the leaves of all parts, and has the learning rates of the first part.

    Attributes:
      parts: two methods or more, none of them joined itself.
    """

    parts: tuple[Method, ...]

    def __post_init__(self):
        if len(self.parts) < 2:
            raise InputError(f"joining takes two methods or more, found {len(self.parts)}")
        problems = [
            f"{part.name}: {part.alone_because}" for part in self.parts if part.alone_because
        ]
        problems += [
            f"{part.name}: it is joined already" for part in self.parts if isinstance(part, Joined)
        ]
        problems += [
            f"{part.name} twice with the same settings"
            for index, part in enumerate(self.parts)
            if part in self.parts[:index]
        ]
        if problems:
            raise problems_error(f"{self.name}: these methods cannot be joined:", problems)

    @property
    def name(self) -> str:  # type: ignore[override]
        """The names of the parts with plus signs between them."""
        return "+".join(part.name for part in self.parts)

    @property
    def rules(self) -> tuple[str, ...]:  # type: ignore[override]
        """The rules of all parts, without the leaves that some part keeps frozen."""
        frozen = "|".join(self.frozen_rules)
        unless_frozen = f"^(?!.*(?:{frozen}))" if frozen else ""
        return tuple(f"{unless_frozen}.*(?:{rule})" for part in self.parts for rule in part.rules)

    @property
    def frozen_rules(self) -> tuple[str, ...]:  # type: ignore[override]
        """The frozen leaves of all parts."""
        return tuple(dict.fromkeys(rule for part in self.parts for rule in part.frozen_rules))

    @property
    def saved_rules(self) -> tuple[str, ...]:  # type: ignore[override]
        """The frozen leaves that any part saves."""
        return tuple(dict.fromkeys(rule for part in self.parts for rule in part.saved_rules))

    @property
    def paper(self) -> str:  # type: ignore[override]
        """The papers of the parts."""
        return "; ".join(dict.fromkeys(part.paper for part in self.parts))

    @property
    def learning_rates(self) -> tuple[float, ...]:  # type: ignore[override]
        """The learning rates of the first part."""
        return self.parts[0].learning_rates

    @property
    def structure(self) -> tuple[Any, ...]:
        """The settings that stacked runs share."""
        return tuple((part.name, part.structure) for part in self.parts)

    @property
    def learning_rate_factors(self) -> Mapping[str, float]:
        """The factors of all parts; if two parts share a rule, the first part's factor counts."""
        return reduce(lambda first, part: {**part.learning_rate_factors, **first}, self.parts, {})

    @property
    def positions(self) -> int:
        """The number of the model's positions that all parts take together."""
        return sum(part.positions for part in self.parts)

    def unused_parameters(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """Count the unused parameters of all parts."""
        return sum(part.unused_parameters(shapes) for part in self.parts)

    def resolve(self, pretrained: Pretrained, words: Sequence[str]) -> Method:
        """Look up the tokens that each part needs."""
        return Joined(tuple(part.resolve(pretrained, words) for part in self.parts))

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Add the leaves of all parts. Each part draws the same leaves as it would alone."""
        added: dict[str, str] = {}
        # Cut the stack of layers before adding leaves beside its weights.
        for part in sorted(self.parts, key=lambda part: not isinstance(part, TopLayers)):
            before = flatten(params)
            params = part.extend(params, key)
            after = flatten(params)
            twice = [path for path in added if after.get(path) is not before[path]]
            if twice:
                raise problems_error(
                    f"{self.name}: {part.name} adds the same parameters as {added[twice[0]]}; "
                    "give them other targets, or leave one out:",
                    twice,
                )
            added |= dict.fromkeys(after.keys() - before.keys(), part.name)
            self._require_own_rates(part, after.keys() - before.keys())
        return params

    def _require_own_rates(self, part: Method, paths: Iterable[str]) -> None:
        """Raise an error if the factor of one part matches another part's leaves."""
        of_part, all_parts = part.learning_rate_factors, self.learning_rate_factors
        problems = [
            f"{path}: {all_parts[rule]:g} instead of {of_part.get(rule, 1):g}"
            for path in sorted(paths)
            for rule in all_parts
            if find(rule, path) and of_part.get(rule, 1) != all_parts[rule]
        ]
        if problems:
            raise problems_error(
                f"{self.name}: the learning-rate factor of one part would be another's; give both "
                "the same, or leave one out:",
                problems,
            )

    def reparametrize(self, params: Params) -> Params:
        """Compute what the model reads, for all parts."""
        return reduce(lambda tree, part: part.reparametrize(tree), self.parts, params)

    def penalty(self, params: Params) -> Float[Array, ""] | None:
        """Return the sum of the parts' penalties."""
        penalties = [part.penalty(params) for part in self.parts]
        present = [each for each in penalties if each is not None]
        return reduce(operator.add, present) if present else None

    def initial_state(self, trainable: Params) -> Any:
        """Return the method states of the parts, a tuple."""
        return tuple(part.initial_state(trainable) for part in self.parts)

    def after_step(
        self,
        trainable: Params,
        frozen_leaves: Params,
        gradients: Params,
        method_state: Any,
        step: Int[Array, ""],
        steps: int,
    ) -> tuple[Params, Any]:
        """Let the parts change the leaves, one after the other."""
        states = []
        for part, state in zip(self.parts, method_state, strict=True):
            trainable, state = part.after_step(
                trainable, frozen_leaves, gradients, state, step, steps
            )
            states.append(state)
        return trainable, tuple(states)

    def finish(self, leaves: Params) -> Params:
        """Return the leaves that all parts keep."""
        return reduce(lambda tree, part: part.finish(tree), self.parts, leaves)

    def to_save(self, leaves: Params, base: Params) -> tuple[Method, Params]:
        """Return the method and the leaves to save, joined from those of all parts."""
        parts = []
        for cut in (part for part in self.parts if isinstance(part, TopLayers)):
            base = cut.extend(base, jax.random.key(0))
        for part in self.parts:
            saved, leaves = part.to_save(leaves, base)
            parts.append(saved)
        return Joined(tuple(parts)), leaves
