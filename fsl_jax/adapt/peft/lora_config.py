"""The fields of `adapter_config.json` that describe a LoRA adapter."""

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from fsl_jax.adapt.parts.patterns import find
from fsl_jax.adapt.peft.config_fields import (
    count_problems,
    is_count,
    is_number,
)
from fsl_jax.adapt.peft.targets import Targets, pattern_problems, read_targets, target_problems

LOW_RANK_FIELDS = frozenset(
    {
        "corda_config",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "fan_in_fan_out",
        "layers_pattern",
        "layers_to_transform",
        "loftq_config",
        "lora_dropout",
        "lora_ga_config",
        "megatron_core",
        "qalora_group_size",
        "runtime_config",
        "target_modules",
    }
)
"""Fields of all kinds of low-rank adapters: those that name the targets, and those that change
nothing in what a saved adapter computes. The config of a start has no effect where
`init_lora_weights` does not name that start."""

LORA_FIELDS = LOW_RANK_FIELDS | {
    "r",
    "lora_alpha",
    "use_rslora",
    "use_dora",
    "init_lora_weights",
    "rank_pattern",
    "alpha_pattern",
}
DEFAULT_RANK, DEFAULT_ALPHA = 8, 8
"""PEFT's defaults of `r` and `lora_alpha`."""

MAX_PATTERNS = 2000
"""The largest number of patterns of ranks or scales: twice that of the largest models' layers."""

_LARGEST = 1e30
_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
"""Ways of drawing an adapter's start that leave the base as it was."""


@dataclasses.dataclass(frozen=True)
class PeftLora:
    """The settings of a LoRA adapter.

    Attributes:
      rank: R, the rank of the layers that no pattern matches.
      alpha: the numerator of the scale of these layers.
      rank_stabilised: whether the scale is alpha / sqrt(R).
      dora: whether the lengths of the adapted columns are trained.
      targets: the layers that are adapted.
      ranks: the ranks of other layers, by regular expressions for names or their ends.
      alphas: the numerators of other layers, by the same kind of regular expressions.
    """

    rank: int
    alpha: float
    rank_stabilised: bool
    dora: bool
    targets: Targets
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]

    def rank_of(self, name: str) -> int:
        """Return the rank of a layer."""
        return next((self.ranks[each] for each in self.ranks if _fits(each, name)), self.rank)

    def alpha_of(self, name: str) -> float:
        """Return the numerator of a layer's scale."""
        return next((self.alphas[each] for each in self.alphas if _fits(each, name)), self.alpha)

    def scale(self, rank: int, alpha: float) -> float:
        """Return the factor of an update."""
        return alpha / (math.sqrt(rank) if self.rank_stabilised else rank)

    def idle_patterns(self, names: Collection[str]) -> list[str]:
        """List the patterns that match no adapted layer."""
        return [
            f"{field} has {pattern!r}, which fits no layer that is adapted"
            for field, patterns in (("rank_pattern", self.ranks), ("alpha_pattern", self.alphas))
            for pattern in patterns
            if not any(_fits(pattern, name) for name in names)
        ]


def read_config(values: Mapping[str, Any]) -> PeftLora:
    """Read the settings from a config without `setting_problems`.

    Args:
      values: the values of `adapter_config.json`.

    Returns:
      The settings.
    """
    return PeftLora(
        values.get("r", DEFAULT_RANK),
        float(values.get("lora_alpha", DEFAULT_ALPHA)),
        bool(values.get("use_rslora")),
        bool(values.get("use_dora")),
        read_targets(values),
        values.get("rank_pattern") or {},
        {each: float(alpha) for each, alpha in (values.get("alpha_pattern") or {}).items()},
    )


def setting_problems(values: Mapping[str, Any]) -> list[str]:
    """List the problems of settings on which the shapes of tensors depend.

    Args:
      values: the values of `adapter_config.json`.

    Returns:
      A line for each problem.
    """
    problems = count_problems({"r": DEFAULT_RANK, **values}, "r") + alpha_problems(values)
    problems += _pattern_problems(values, "rank_pattern", is_count, "whole numbers of at least 1")
    problems += _pattern_problems(values, "alpha_pattern", is_alpha, "numbers above 0")
    return problems + target_problems(values)


def start_problems(values: Mapping[str, Any]) -> list[str]:
    """Return a line if the adapter was initialised in a way that changes the base model.

    Args:
      values: the values of `adapter_config.json`.

    Returns:
      A line for each problem.
    """
    start = values.get("init_lora_weights", True)
    if start in _STARTS:
        return []
    return [
        f"init_lora_weights is {start!r}, which changes the base: that is not here. Save it "
        "from PEFT with path_initial_model_for_weight_conversion=, as a plain LoRA"
    ]


def alpha_problems(values: Mapping[str, Any]) -> list[str]:
    """Return a line if the numerator of the scale is not a number above 0."""
    alpha = values.get("lora_alpha", DEFAULT_ALPHA)
    return [] if is_alpha(alpha) else [f"lora_alpha is {alpha!r}; expected a number above 0"]


def whole_if_it_is(alpha: int | float) -> int | float:
    """Return a number as PEFT writes it in a config: 16 instead of 16.0."""
    return int(alpha) if float(alpha).is_integer() else alpha


def is_alpha(value: Any) -> bool:
    """Return True if a value is a number above 0 that float32 can hold with room for products."""
    return is_number(value) and 1 / _LARGEST < value < _LARGEST


def _pattern_problems(
    values: Mapping[str, Any], field: str, is_sound: Callable[[Any], bool], expected: str
) -> list[str]:
    patterns = values.get(field) or {}
    if isinstance(patterns, dict) and len(patterns) > MAX_PATTERNS:
        return [f"{field} has {len(patterns):,} patterns, and at most {MAX_PATTERNS:,} are read"]
    if not isinstance(patterns, dict) or not all(map(is_sound, patterns.values())):
        return [f"{field} is {patterns!r}; expected {expected} by names of layers"]
    return [line for pattern in patterns for line in pattern_problems(field, pattern)]


def _fits(pattern: str, name: str) -> bool:
    """Return True if a pattern matches a whole name, or the part after a dot in it."""
    return bool(find(rf"(.*\.)?({pattern})$", name, "match"))
