"""The kinds of adapters that PEFT has, by its own words for them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.methods.ia3 import IA3
from fsl_jax.adapt.methods.ln_tuning import LNTuning
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.p_tuning import PTuning
from fsl_jax.adapt.methods.p_tuning_v2 import PTuningV2
from fsl_jax.adapt.methods.prefix_tuning import PrefixTuning
from fsl_jax.adapt.methods.prompt_tuning import PromptTuning
from fsl_jax.adapt.methods.vera import VeRA
from fsl_jax.adapt.peft.adalora import read_adalora, write_adalora
from fsl_jax.adapt.peft.fused import has_layers_or_parts_for
from fsl_jax.adapt.peft.ia3 import has_vectors_for, read_ia3, write_ia3
from fsl_jax.adapt.peft.ln_tuning import has_norms_for, read_ln_tuning, write_ln_tuning
from fsl_jax.adapt.peft.lora import read_lora, write_lora
from fsl_jax.adapt.peft.prefix_tuning import (
    has_prefixes,
    read_prefix_tuning,
    write_prefix_tuning,
)
from fsl_jax.adapt.peft.prompts import has_prompt
from fsl_jax.adapt.peft.soft_prompts import (
    read_p_tuning,
    read_prompt_tuning,
    write_p_tuning,
    write_prompt_tuning,
)
from fsl_jax.adapt.peft.vera import has_targets_for, read_vera, write_vera
from fsl_jax.models.families.registry import Config
from fsl_jax.models.pretrained import Pretrained

Leaves = dict[str, np.ndarray]


class Kind(NamedTuple):
    """A kind of adapter.

    Attributes:
      peft_type: PEFT's word for it in `adapter_config.json`.
      method: the method whose adapters are of this kind.
      serves: `serves(paths, config)`: whether PEFT has what these saved leaves adapt.
      write: `write(leaves, method, pretrained)` gives the tensors by PEFT's names, and the values
        of `adapter_config.json`.
      read: `read(values, tensors, pretrained, source)`, its inverse, gives the method and the
        leaves by path, those among them that `method.frozen_rules` names. It raises an `InputError`
        that lists all that is wrong.
    """

    peft_type: str
    method: type[Method]
    serves: Callable[[Iterable[str], Config], bool]
    write: Callable[[Mapping[str, np.ndarray], Any, Pretrained], tuple[Leaves, dict[str, Any]]]
    read: Callable[
        [Mapping[str, Any], Mapping[str, np.ndarray], Pretrained, epath.PathLike],
        tuple[Method, Leaves],
    ]


KINDS: tuple[Kind, ...] = (
    Kind("LORA", LoRA, has_layers_or_parts_for, write_lora, read_lora),
    Kind("ADALORA", AdaLoRA, has_layers_or_parts_for, write_adalora, read_adalora),
    Kind("VERA", VeRA, has_targets_for, write_vera, read_vera),
    Kind("IA3", IA3, has_vectors_for, write_ia3, read_ia3),
    Kind("LN_TUNING", LNTuning, has_norms_for, write_ln_tuning, read_ln_tuning),
    Kind("PROMPT_TUNING", PromptTuning, has_prompt, write_prompt_tuning, read_prompt_tuning),
    Kind("P_TUNING", PTuning, has_prompt, write_p_tuning, read_p_tuning),
    # What reads this kind tells the two methods apart.
    Kind("PREFIX_TUNING", PrefixTuning, has_prefixes, write_prefix_tuning, read_prefix_tuning),
    Kind("PREFIX_TUNING", PTuningV2, has_prefixes, write_prefix_tuning, read_prefix_tuning),
)


def kind_of_method(method: Method, paths: Iterable[str], config: Config) -> Kind | None:
    """The kind that a method's adapter is written as; None where PEFT has none for it.

    Args:
      method: the method.
      paths: of the leaves that are saved.
      config: of the base model.

    Returns:
      The kind.
    """
    paths = list(paths)
    fitting = (kind for kind in KINDS if type(method) is kind.method)
    return next((kind for kind in fitting if kind.serves(paths, config)), None)


def absence(method: Method, config: Config) -> str:
    """Why `kind_of_method` found no kind for an adapter, as the beginning of a sentence."""
    kinds = [kind.peft_type for kind in KINDS if type(method) is kind.method]
    if kinds:
        reason = f"PEFT has adapters of the kind {kinds[0]}, but not for what this one adapts"
        return f"{reason} on {config.family}"
    return f"PEFT has no adapters of the kind {method.name}"


def kind_of_config(values: Mapping[str, Any]) -> Kind | None:
    """The kind that an `adapter_config.json` names; None for one that is not known."""
    return next((kind for kind in KINDS if kind.peft_type == values.get("peft_type")), None)
