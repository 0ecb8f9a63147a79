"""The kinds of adapters that PEFT has."""

from collections.abc import Iterable, Mapping
from typing import Any

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.peft.adalora import ADALORA_KIND
from fsl_jax.adapt.peft.adapter_kind import AdapterKind
from fsl_jax.adapt.peft.ia3 import IA3_KIND
from fsl_jax.adapt.peft.ln_tuning import LN_TUNING_KIND
from fsl_jax.adapt.peft.lora import LORA_KIND
from fsl_jax.adapt.peft.prefix_tuning import PREFIX_TUNING_KINDS
from fsl_jax.adapt.peft.soft_prompts import P_TUNING_KIND, PROMPT_TUNING_KIND
from fsl_jax.adapt.peft.vera import VERA_KIND
from fsl_jax.models.families.registry import Config

KINDS: tuple[AdapterKind, ...] = (
    LORA_KIND,
    ADALORA_KIND,
    VERA_KIND,
    IA3_KIND,
    LN_TUNING_KIND,
    PROMPT_TUNING_KIND,
    P_TUNING_KIND,
    *PREFIX_TUNING_KINDS,
)


def kind_of_method(method: Method, paths: Iterable[str], config: Config) -> AdapterKind | None:
    """Return the kind for writing a method's adapter, or None if PEFT has no such kind.

    Args:
      method: the method.
      paths: the paths of the leaves that are saved.
      config: the config of the base model.
    """
    paths = list(paths)
    kinds = (kind for kind in KINDS if type(method) is kind.method)
    return next((kind for kind in kinds if kind.serves(paths, config)), None)


def missing_kind_reason(method: Method, config: Config) -> str:
    """Return the reason why `kind_of_method` returns None, as the beginning of a sentence."""
    kinds = [kind.peft_type for kind in KINDS if type(method) is kind.method]
    if kinds:
        reason = f"PEFT has adapters of the kind {kinds[0]}, but not for what this one adapts"
        return f"{reason} on {config.family}"
    return f"PEFT has no adapters of the kind {method.name}"


def kind_of_config(values: Mapping[str, Any]) -> AdapterKind | None:
    """Return the kind that an `adapter_config.json` names, or None for an unknown kind."""
    return next((kind for kind in KINDS if kind.peft_type == values.get("peft_type")), None)
