"""Write and check the first fields of every `adapter_config.json`, which all kinds share."""

from collections.abc import Collection, Mapping
from typing import Any

from fsl_jax.adapt.peft.config_fields import unsupported_fields
from fsl_jax.models.families.registry import Config
from fsl_jax.models.pretrained import Pretrained

_FIELDS = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "inference_mode",
        "modules_to_save",
        "peft_type",
        "peft_version",
        "revision",
        "task_type",
    }
)
"""Fields that every kind has. `brought` reads `modules_to_save` and `task_type`.
None of the others changes what a saved adapter computes, but for the kind."""


def header(peft_type: str, pretrained: Pretrained) -> dict[str, Any]:
    """Return the first fields of every config.

    Args:
      peft_type: the name of the kind, either PEFT's or this project's.
      pretrained: the base model.

    Returns:
      Values of `adapter_config.json`.
    """
    return {
        "peft_type": peft_type,
        "task_type": task_type(pretrained.config),
        "base_model_name_or_path": pretrained.name,
    }


def task_type(config: Config) -> str:
    """Return PEFT's name for the use of a base model."""
    if config.is_encoder_decoder:
        return "SEQ_2_SEQ_LM"
    return "CAUSAL_LM" if config.is_decoder else "FEATURE_EXTRACTION"


def header_problems(
    values: Mapping[str, Any], peft_type: str, fields: Collection[str]
) -> list[str]:
    """List the reasons why a config does not fit a kind: its type, and unsupported fields.

    Args:
      values: the values of `adapter_config.json`.
      peft_type: the expected kind.
      fields: the fields of this kind that are read, or that do not change the output.

    Returns:
      A line for each problem.
    """
    named = values.get("peft_type")
    problems = [] if named == peft_type else [f"peft_type is {named!r}; expected {peft_type!r}"]
    return problems + unsupported_fields(values, _FIELDS | set(fields))
