"""What `adapter_config.json` says of a LoRA adapter that PEFT saved."""

import dataclasses
import math
from collections.abc import Collection, Mapping
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
    {
        "peft_type",
        "r",
        "lora_alpha",
        "use_rslora",
        "use_dora",
        "target_modules",
        "layers_to_transform",
        "init_lora_weights",
    }
)
_STARTS = (True, False, "gaussian", "eva", "orthogonal")
"""Ways of drawing an adapter's start that leave the base as it was."""


@dataclasses.dataclass(frozen=True)
class PeftLora:
    """The settings of a LoRA adapter.

    Attributes:
      rank: R.
      alpha: the numerator of the scale.
      rank_stabilised: whether the scale is alpha / sqrt(R).
      dora: whether the adapted columns have lengths of their own.
      targets: ends of the names of the adapted modules; None where they are given otherwise.
      layers: the numbers of the layers that are adapted; None for all that the targets name.
    """

    rank: int
    alpha: float
    rank_stabilised: bool
    dora: bool
    targets: tuple[str, ...] | None
    layers: frozenset[int] | None


def read_config(values: Mapping[str, Any]) -> PeftLora:
    """The settings in a config that has no faults.

    Args:
      values: what `adapter_config.json` says.

    Returns:
      The settings.
    """
    targets, layers = values.get("target_modules"), values.get("layers_to_transform")
    ends = None
    if isinstance(targets, list) and not values.get("exclude_modules"):
        ends = tuple(map(str, targets))
    return PeftLora(
        values["r"],
        float(values["lora_alpha"]),
        bool(values.get("use_rslora")),
        bool(values.get("use_dora")),
        ends,
        None if layers in (None, []) else frozenset(_listed(layers)),
    )


def config_faults(values: Mapping[str, Any]) -> list[str]:
    """What keeps an adapter with this config from being read: all that is not LoRA of one rank.

    Args:
      values: what `adapter_config.json` says.

    Returns:
      A line for each fault.
    """
    rank = values.get("r")
    start = values.get("init_lora_weights", True)
    found = []
    if values.get("peft_type") != "LORA":
        found.append(f"peft_type is {values.get('peft_type')!r}; expected 'LORA'")
    if not is_count(rank):
        found.append(f"r is {rank!r}; expected a whole number of at least 1")
    found += alpha_faults(values)
    if start not in _STARTS:
        found.append(f"init_lora_weights is {start!r}, which changes the base: that is not here")
    if not all(isinstance(layer, int) for layer in _listed(values.get("layers_to_transform"))):
        layers = values["layers_to_transform"]
        found.append(f"layers_to_transform is {layers!r}; expected numbers of layers")
    return found + unsupported_fields(values, _READ)


def unsupported_fields(values: Mapping[str, Any], read: Collection[str]) -> list[str]:
    """Settings in a config that would change the numbers and are not supported.

    Args:
      values: what `adapter_config.json` says.
      read: the fields that are read, or that are known to change nothing.

    Returns:
      A line for each fault.
    """
    return [
        f"{name} is {values[name]!r}, which is not supported"
        for name in sorted(values.keys() - _WITHOUT_EFFECT - set(read))
        if values[name] not in (None, False, "none", [], {})
    ]


def alpha_faults(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the scale's numerator in a config, a line for each fault."""
    alpha = values.get("lora_alpha")
    if isinstance(alpha, int | float) and not isinstance(alpha, bool) and 0 < alpha < math.inf:
        return []
    return [f"lora_alpha is {alpha!r}; expected a number above 0"]


def is_count(value: Any) -> bool:
    """Whether a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _listed(layers: Any) -> list[Any]:
    """PEFT takes one number for a list of one."""
    if layers is None:
        return []
    return layers if isinstance(layers, list) else [layers]
