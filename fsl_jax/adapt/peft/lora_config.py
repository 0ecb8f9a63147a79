"""What `adapter_config.json` says of a LoRA adapter that PEFT saved."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

_WITHOUT_EFFECT = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "fan_in_fan_out",
        "inference_mode",
        "layers_pattern",
        "loftq_config",
        "lora_dropout",
        "megatron_core",
        "peft_version",
        "qalora_group_size",
        "revision",
        "runtime_config",
        "task_type",
    }
)
"""Fields of the config that change nothing in what a saved adapter computes."""

_READ = frozenset(
    {"peft_type", "r", "lora_alpha", "use_rslora", "target_modules", "init_lora_weights"}
)
_STARTS = (True, False, "gaussian", "eva", "orthogonal")
"""Ways of drawing an adapter's start that leave the base as it was."""


@dataclasses.dataclass(frozen=True)
class PeftLora:
    """The settings of a LoRA adapter.

    Attributes:
      rank: R.
      scale: what the low-rank update is multiplied by.
      targets: ends of the names of the adapted modules; None where they are given otherwise.
    """

    rank: int
    scale: float
    targets: tuple[str, ...] | None


def read_config(values: Mapping[str, Any]) -> PeftLora:
    """The settings in a config that has no faults.

    Args:
      values: what `adapter_config.json` says.

    Returns:
      The settings.
    """
    rank, alpha, targets = values["r"], values["lora_alpha"], values.get("target_modules")
    ends = None
    if isinstance(targets, list) and not values.get("exclude_modules"):
        ends = tuple(map(str, targets))
    # Rank-stabilised LoRA (https://arxiv.org/abs/2312.03732) is another scale and nothing more.
    scale = alpha / (math.sqrt(rank) if values.get("use_rslora") else rank)
    return PeftLora(rank, scale, ends)


def config_faults(values: Mapping[str, Any]) -> list[str]:
    """What keeps an adapter with this config from being read: all that is not LoRA of one rank.

    Args:
      values: what `adapter_config.json` says.

    Returns:
      A line for each fault.
    """
    rank, alpha = values.get("r"), values.get("lora_alpha")
    start = values.get("init_lora_weights", True)
    found = []
    if values.get("peft_type") != "LORA":
        found.append(f"peft_type is {values.get('peft_type')!r}; expected 'LORA'")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        found.append(f"r is {rank!r}; expected a whole number of at least 1")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < alpha < math.inf:
        found.append(f"lora_alpha is {alpha!r}; expected a number above 0")
    if start not in _STARTS:
        found.append(f"init_lora_weights is {start!r}, which changes the base: that is not here")
    for name in sorted(values.keys() - _WITHOUT_EFFECT - _READ):
        if values[name] not in (None, False, "none", [], {}):
            found.append(f"{name} is {values[name]!r}, which is not supported")
    return found
