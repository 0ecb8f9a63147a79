"""What PEFT's kinds of prompts have in common: one tensor, and what the config says of its size."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.parts.soft_prompt import PROMPT
from fsl_jax.adapt.peft.config_fields import count_problems, is_count, unsupported_fields
from fsl_jax.adapt.peft.modules import task_type, unusable
from fsl_jax.models.families.registry import Config
from fsl_jax.models.pretrained import Pretrained

TENSOR = "prompt_embeddings"

_WITHOUT_EFFECT = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "encoder_dropout",
        "encoder_hidden_size",
        "encoder_num_layers",
        "encoder_reparameterization_type",
        "inference_mode",
        "init_weights",
        "peft_version",
        "prefix_projection",
        "prompt_tuning_init",
        "prompt_tuning_init_text",
        "revision",
        "task_type",
        "tokenizer_kwargs",
        "tokenizer_name_or_path",
    }
)
"""Fields of the config that change nothing in what a saved prompt computes: it is saved as it is,
whatever it began as and whatever network computed it."""


def has_prompt(paths: Iterable[str], config: Config) -> bool:
    """Whether PEFT puts these leaves into a model: a prompt before the tokens, in every family."""
    return set(paths) == {PROMPT}


def submodules(config: Config) -> int:
    """For how many parts of a model PEFT lays out a prompt: encoder and decoder are two."""
    return 2 if config.is_encoder_decoder else 1


def prompt_config(
    peft_type: str, pretrained: Pretrained, length: int, width: int, heads: int
) -> dict[str, Any]:
    """The values of `adapter_config.json` that all kinds of prompts have.

    Args:
      peft_type: PEFT's word for the kind.
      pretrained: the base model.
      length: P.
      width: of a vector.
      heads: of attention.

    Returns:
      The values.
    """
    return {
        "peft_type": peft_type,
        "task_type": task_type(pretrained.config),
        "base_model_name_or_path": pretrained.name,
        "inference_mode": True,
        "num_virtual_tokens": length,
        "token_dim": width,
        "num_transformer_submodules": submodules(pretrained.config),
        "num_attention_heads": heads,
        "num_layers": pretrained.config.num_layers,
    }


def read_prompt(
    expected: Mapping[str, Any],
    values: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    pretrained: Pretrained,
    source: epath.PathLike,
    sizes: tuple[int, ...] = (),
    prompts: int = 1,
) -> np.ndarray:
    """The only tensor of a prompt, if nothing is wrong with the adapter.

    Args:
      expected: values that the config has, where it says anything.
      values: what `adapter_config.json` says.
      tensors: the tensors by PEFT's names.
      pretrained: the base model.
      source: the adapter, for errors.
      sizes: of what there is for each of the P vectors.
      prompts: how many prompts the tensor has, of which the first is the one before the tokens.

    Returns:
      float32 `[P, *sizes]`.

    Raises:
      InputError: the config asks for more, or tensors are not known, missing or of the wrong shape;
        it lists all.
    """
    length: Any = values.get("num_virtual_tokens")
    found = [
        f"{name} is {values[name]!r}; expected {value!r}"
        for name, value in expected.items()
        if values.get(name) is not None and values[name] != value
    ]
    found += count_problems(values, "num_virtual_tokens")
    known = _WITHOUT_EFFECT | expected.keys() | {"num_virtual_tokens"}
    found += unsupported_fields(values, known, can_merge=False)
    found += [f"not known: {name}" for name in sorted(tensors.keys() - {TENSOR})]
    prompt, width = tensors.get(TENSOR), math.prod(sizes)
    if prompt is None:
        found.append(f"missing: {TENSOR}")
    elif is_count(length) and list(prompt.shape) != (shape := [prompts * length, width]):
        found.append(f"wrong shape: {TENSOR} is {list(prompt.shape)}, expected {shape}")
    if found or prompt is None:
        readable = "What can be read is one prompt before the tokens, or one prefix of the layers"
        raise unusable(source, pretrained, found, readable)
    return np.asarray(prompt, np.float32)[:length].reshape(-1, *sizes)
