"""What `adapter_config.json` says of a LoRA adapter that PEFT saved."""

import dataclasses
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from fsl_jax.adapt.peft.config_fields import (
    count_problems,
    is_count,
    is_number,
    kind_problems,
    unsupported_fields,
)
from fsl_jax.adapt.peft.targets import Targets, pattern_problems, read_targets, target_problems

WITHOUT_EFFECT = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "corda_config",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "fan_in_fan_out",
        "inference_mode",
        "layers_pattern",
        "layers_to_transform",
        "loftq_config",
        "lora_dropout",
        "lora_ga_config",
        "megatron_core",
        "peft_version",
        "qalora_group_size",
        "revision",
        "runtime_config",
        "target_modules",
        "task_type",
    }
)
"""Fields of the config that change nothing in what a saved adapter computes, and its targets. A
config of a start says nothing where `init_lora_weights` does not name that start."""

_READ = frozenset(
    {
        "peft_type",
        "r",
        "lora_alpha",
        "use_rslora",
        "use_dora",
        "init_lora_weights",
        "rank_pattern",
        "alpha_pattern",
    }
)
_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
"""Ways of drawing an adapter's start that leave the base as it was."""


@dataclasses.dataclass(frozen=True)
class PeftLora:
    """The settings of a LoRA adapter.

    Attributes:
      rank: R, of the layers that no pattern names.
      alpha: the numerator of the scale of these.
      rank_stabilised: whether the scale is alpha / sqrt(R).
      dora: whether the adapted columns have lengths of their own.
      targets: which layers are adapted.
      ranks: the ranks of others, by regular expressions of names and of their ends.
      alphas: likewise.
    """

    rank: int
    alpha: float
    rank_stabilised: bool
    dora: bool
    targets: Targets
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]

    def rank_of(self, name: str) -> int:
        """The rank of a layer."""
        return next((self.ranks[each] for each in self.ranks if _fits(each, name)), self.rank)

    def alpha_of(self, name: str) -> float:
        """The numerator of a layer's scale."""
        return next((self.alphas[each] for each in self.alphas if _fits(each, name)), self.alpha)

    def scale(self, rank: int, alpha: float) -> float:
        """What an update is multiplied by."""
        return alpha / (math.sqrt(rank) if self.rank_stabilised else rank)

    def idle_patterns(self, names: Collection[str]) -> list[str]:
        """A line for each pattern that fits none of the adapted layers."""
        return [
            f"{field} has {pattern!r}, which fits no layer that is adapted"
            for field, patterns in (("rank_pattern", self.ranks), ("alpha_pattern", self.alphas))
            for pattern in patterns
            if not any(_fits(pattern, name) for name in names)
        ]


def read_config(values: Mapping[str, Any]) -> PeftLora:
    """The settings in a config of which `setting_problems` finds none.

    Args:
      values: what `adapter_config.json` says.

    Returns:
      The settings.
    """
    return PeftLora(
        values["r"],
        float(values["lora_alpha"]),
        bool(values.get("use_rslora")),
        bool(values.get("use_dora")),
        read_targets(values),
        values.get("rank_pattern") or {},
        {each: float(alpha) for each, alpha in (values.get("alpha_pattern") or {}).items()},
    )


def setting_problems(values: Mapping[str, Any]) -> list[str]:
    """What keeps the settings in a config from being read, without which no tensor can be judged.

    Args:
      values: what `adapter_config.json` says.

    Returns:
      A line for each fault.
    """
    found = count_problems(values, "r") + alpha_problems(values)
    found += _pattern_problems(values, "rank_pattern", is_count, "whole numbers of at least 1")
    found += _pattern_problems(values, "alpha_pattern", is_alpha, "numbers above 0")
    return found + target_problems(values)


def config_problems(values: Mapping[str, Any]) -> list[str]:
    """What else keeps an adapter with this config from being read: all that is more than LoRA.

    Args:
      values: what `adapter_config.json` says.

    Returns:
      A line for each fault.
    """
    start = values.get("init_lora_weights", True)
    found = kind_problems(values, "LORA")
    if start not in _STARTS:
        found.append(
            f"init_lora_weights is {start!r}, which changes the base: that is not here. Save it "
            "from PEFT with path_initial_model_for_weight_conversion=, as a plain LoRA"
        )
    return found + unsupported_fields(values, WITHOUT_EFFECT | _READ)


def alpha_problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the scale's numerator in a config, a line for each fault."""
    alpha = values.get("lora_alpha")
    return [] if is_alpha(alpha) else [f"lora_alpha is {alpha!r}; expected a number above 0"]


def whole_if_it_is(alpha: int | float) -> int | float:
    """The number as a config has it: PEFT writes 16, and not 16.0."""
    return int(alpha) if float(alpha).is_integer() else alpha


def is_alpha(value: Any) -> bool:
    """Whether a value is a finite number above 0."""
    return is_number(value) and 0 < value < math.inf


def _pattern_problems(
    values: Mapping[str, Any], field: str, is_sound: Callable[[Any], bool], expected: str
) -> list[str]:
    patterns = values.get(field) or {}
    if not isinstance(patterns, dict) or not all(map(is_sound, patterns.values())):
        return [f"{field} is {patterns!r}; expected {expected} by names of layers"]
    return [fault for pattern in patterns for fault in pattern_problems(field, pattern)]


def _fits(pattern: str, name: str) -> bool:
    """Whether a pattern fits a name, or what follows a dot in it, to the end."""
    return bool(re.match(rf"(.*\.)?({pattern})$", name))
