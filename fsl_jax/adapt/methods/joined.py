"""Methods joined: `lora+prompt_tuning`, or MAM, which is parallel adapters beside a prefix.

MAM is `prefix_tuning+adapter(placement='parallel', scale=4)`: He et al., 2022, "Towards a Unified
View of Parameter-Efficient Transfer Learning", https://arxiv.org/abs/2110.04366.
"""

import dataclasses
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import jax
from jaxtyping import Array, Float, Int

from fsl_jax.adapt.methods.full import Full
from fsl_jax.adapt.methods.linear_probe import LinearProbe
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.top_layers import TopLayers
from fsl_jax.adapt.tree import Params, flatten
from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.pretrained import Pretrained

_ALONE = {
    Full: "it trains every parameter, and what the others add beside it is not what they are",
    LinearProbe: "it trains the task head alone, which every method trains",
}
"""Methods that make no sense beside others, and why."""


@dataclasses.dataclass(frozen=True)
class Joined(Method):
    """Does what each of its parts does, one after the other.

    Its leaves are those of all parts, and its learning rates are the first one's.

    Attributes:
      parts: two methods or more, none of them joined itself.
    """

    parts: tuple[Method, ...]

    def __post_init__(self):
        if len(self.parts) < 2:
            raise InputError(f"joining takes two methods or more, found {len(self.parts)}")
        found = [
            f"{each.name}: {_ALONE[type(each)]}" for each in self.parts if type(each) in _ALONE
        ]
        found += [f"{each.name}: it is joined already" for each in self.parts if _is_joined(each)]
        found += [
            f"{each.name} twice with the same settings"
            for place, each in enumerate(self.parts)
            if each in self.parts[:place]
        ]
        if found:
            raise problems_error(f"{self.name}: these methods cannot be joined:", found)

    @property
    def name(self) -> str:  # type: ignore[override]
        """The names of the parts with plus signs between them."""
        return "+".join(part.name for part in self.parts)

    @property
    def rules(self) -> tuple[str, ...]:  # type: ignore[override]
        """The rules of all parts, but for what is a setting of one."""
        settings = "|".join(self.frozen_rules)
        kept = f"^(?!.*(?:{settings}))" if settings else ""
        return tuple(f"{kept}.*(?:{rule})" for part in self.parts for rule in part.rules)

    @property
    def frozen_rules(self) -> tuple[str, ...]:  # type: ignore[override]
        """The settings of all parts."""
        return tuple(dict.fromkeys(rule for part in self.parts for rule in part.frozen_rules))

    @property
    def saved_rules(self) -> tuple[str, ...]:  # type: ignore[override]
        """The settings that any part saves."""
        return tuple(dict.fromkeys(rule for part in self.parts for rule in part.saved_rules))

    @property
    def paper(self) -> str:  # type: ignore[override]
        """The papers of the parts."""
        return "; ".join(dict.fromkeys(part.paper for part in self.parts))

    @property
    def learning_rates(self) -> tuple[float, ...]:  # type: ignore[override]
        """Those of the first part."""
        return self.parts[0].learning_rates

    @property
    def structure(self) -> tuple[Any, ...]:
        """What runs must share to be stacked."""
        return tuple((part.name, part.structure) for part in self.parts)

    @property
    def learning_rate_factors(self) -> Mapping[str, float]:
        """Those of all parts; of a rule that two have, the first one's."""
        return reduce(lambda found, part: {**part.learning_rate_factors, **found}, self.parts, {})

    @property
    def positions(self) -> int:
        """How many positions of the model all parts take."""
        return sum(part.positions for part in self.parts)

    def unused_parameters(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """All parts' together."""
        return sum(part.unused_parameters(shapes) for part in self.parts)

    def resolve(self, pretrained: Pretrained, words: Sequence[str]) -> Method:
        """Each part with what its start takes from a tokenizer."""
        return Joined(tuple(part.resolve(pretrained, words) for part in self.parts))

    def extend(self, params: Params, key: jax.Array) -> Params:
        """The leaves of all parts, each of which draws what it draws alone."""
        added: dict[str, str] = {}
        # A stack is cut before anything is put beside it.
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
        """Raises an error where the factor of one part is that of another part's leaves."""
        own, all_parts = part.learning_rate_factors, self.learning_rate_factors
        found = [
            f"{path}: {all_parts[rule]:g} instead of {own.get(rule, 1):g}"
            for path in sorted(paths)
            for rule in all_parts
            if re.search(rule, path) and own.get(rule, 1) != all_parts[rule]
        ]
        if found:
            raise problems_error(
                f"{self.name}: the learning-rate factor of one part would be another's; give both "
                "the same, or leave one out:",
                found,
            )

    def reparametrize(self, params: Params) -> Params:
        """What the model reads, of all parts."""
        return reduce(lambda tree, part: part.reparametrize(tree), self.parts, params)

    def penalty(self, params: Params) -> Float[Array, ""] | None:
        """The sum of the parts' penalties."""
        penalties = [part.penalty(params) for part in self.parts]
        present = [each for each in penalties if each is not None]
        return reduce(operator.add, present) if present else None

    def initial_state(self, trainable: Params) -> Any:
        """A tuple of what each part keeps."""
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
        """What each part does after a step, one after the other."""
        kept = []
        for part, own in zip(self.parts, method_state, strict=True):
            trainable, own = part.after_step(trainable, frozen_leaves, gradients, own, step, steps)
            kept.append(own)
        return trainable, tuple(kept)

    def finish(self, leaves: Params) -> Params:
        """What all parts keep of their leaves."""
        return reduce(lambda tree, part: part.finish(tree), self.parts, leaves)

    def to_save(self, leaves: Params, base: Params) -> tuple[Method, Params]:
        """What all parts are saved as."""
        parts = []
        for cut in (part for part in self.parts if isinstance(part, TopLayers)):
            base = cut.extend(base, jax.random.key(0))
        for part in self.parts:
            saved, leaves = part.to_save(leaves, base)
            parts.append(saved)
        return Joined(tuple(parts)), leaves


def _is_joined(method: Method) -> bool:
    return isinstance(method, Joined)
