"""The common part of PEFT's kinds of prompts: one tensor, and the fields with its size."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fsl_jax.adapt.parts.soft_prompt import PROMPT
from fsl_jax.adapt.peft.adapter_reader import AdapterReader
from fsl_jax.adapt.peft.config_fields import count_problems, is_count
from fsl_jax.models.families.registry import Config
from fsl_jax.models.pretrained import Pretrained

TENSOR = "prompt_embeddings"

PROMPT_FIELDS = frozenset(
    {
        "encoder_dropout",
        "encoder_hidden_size",
        "encoder_num_layers",
        "encoder_reparameterization_type",
        "init_weights",
        "num_attention_heads",
        "num_layers",
        "num_transformer_submodules",
        "num_virtual_tokens",
        "prefix_projection",
        "prompt_tuning_init",
        "prompt_tuning_init_text",
        "token_dim",
        "tokenizer_kwargs",
        "tokenizer_name_or_path",
    }
)
"""Fields of the config that are read, or that change nothing in what a saved prompt computes: it is
saved as it is, whatever it began as and whatever network computed it."""

READABLE = "What can be read is one prompt before the tokens, or one prefix of the layers"


def has_prompt(paths: Iterable[str], config: Config) -> bool:
    """Return whether PEFT can hold these leaves: a prompt before the tokens, in every family."""
    return set(paths) == {PROMPT}


def submodules(config: Config) -> int:
    """Return for how many parts of a model PEFT keeps a prompt: encoder and decoder are two."""
    return 2 if config.is_encoder_decoder else 1


def prompt_config(pretrained: Pretrained, length: int, width: int, heads: int) -> dict[str, Any]:
    """Return the fields of `adapter_config.json` that all kinds of prompts have.

    Args:
      pretrained: the base model.
      length: P.
      width: of a vector.
      heads: of attention.

    Returns:
      The values.
    """
    return {
        "num_virtual_tokens": length,
        "token_dim": width,
        "num_transformer_submodules": submodules(pretrained.config),
        "num_attention_heads": heads,
        "num_layers": pretrained.config.num_layers,
    }


def read_prompt(
    reader: AdapterReader,
    expected: Mapping[str, Any],
    sizes: tuple[int, ...] = (),
    prompts: int = 1,
) -> np.ndarray:
    """Return the only tensor of a prompt, if nothing is wrong with the adapter.

    Args:
      reader: the adapter.
      expected: the values of the fields of the config that are set.
      sizes: of what there is for each of the P vectors.
      prompts: how many prompts the tensor has; the first is the one before the tokens.

    Returns:
      float32 `[P, *sizes]`.

    Raises:
      InputError: the config asks for more, or tensors are not known, missing or of the wrong shape;
        it lists all.
    """
    values, tensors = reader.values, reader.tensors
    length: Any = values.get("num_virtual_tokens")
    reader.report(
        f"{name} is {values[name]!r}; expected {value!r}"
        for name, value in expected.items()
        if values.get(name) is not None and values[name] != value
    )
    reader.report(count_problems(values, "num_virtual_tokens"))
    reader.report(f"not known: {name}" for name in sorted(tensors.keys() - {TENSOR}))
    prompt, width = tensors.get(TENSOR), math.prod(sizes)
    if prompt is None:
        reader.require_none([f"missing: {TENSOR}"])
    elif is_count(length) and list(prompt.shape) != (shape := [prompts * length, width]):
        reader.report([f"wrong shape: {TENSOR} is {list(prompt.shape)}, expected {shape}"])
    reader.finish()
    return np.asarray(prompt, np.float32)[:length].reshape(-1, *sizes)
