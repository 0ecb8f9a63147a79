"""What `adapter_config.json` says of an adapter of IA3 or LN tuning that PEFT saved."""

from collections.abc import Mapping
from typing import Any

from fsl_jax.adapt.peft.config_fields import kind_problems, unsupported_fields

_WITHOUT_EFFECT = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "exclude_modules",
        "fan_in_fan_out",
        "inference_mode",
        "init_ia3_weights",
        "peft_type",
        "peft_version",
        "revision",
        "runtime_config",
        "target_modules",
        "task_type",
    }
)
"""Fields of a config that change nothing in what a saved adapter computes, and its targets. PEFT
has no numbers of layers among them, as it has for LoRA."""


def config_problems(
    values: Mapping[str, Any], peft_type: str, read: frozenset[str] = frozenset()
) -> list[str]:
    """What keeps an adapter with this config from being read, apart from its targets.

    Args:
      values: what `adapter_config.json` says.
      peft_type: the kind that it should be of.
      read: more fields that are read.

    Returns:
      A line for each fault.
    """
    return kind_problems(values, peft_type) + unsupported_fields(values, _WITHOUT_EFFECT | read)
