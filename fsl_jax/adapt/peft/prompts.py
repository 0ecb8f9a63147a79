"""The shared part of PEFT's kinds of prompts: one tensor, and the fields for its size."""

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
saved directly, regardless of its start and of the network that computed it."""

READABLE = "What can be read is one prompt before the tokens, or one prefix of the layers"


def has_prompt(paths: Iterable[str], config: Config) -> bool:
    """Return True if PEFT can store these leaves: a prompt before the tokens, in any family."""
    return set(paths) == {PROMPT}


def submodules(config: Config) -> int:
    """Return the number of prompts that PEFT stores: two for an encoder-decoder, else one."""
    return 2 if config.is_encoder_decoder else 1


def network_size(value: Any, default: int, largest: int) -> int:
    """Return a size of the network that computed a prompt, or a default for an unlikely one.

    The network is not saved, so its size changes nothing in what the prompt computes.
    """
    return value if is_count(value) and value <= largest else default


def prompt_config(pretrained: Pretrained, length: int, width: int, heads: int) -> dict[str, Any]:
    """Return the fields of `adapter_config.json` that all kinds of prompts have.

    Args:
      pretrained: the base model.
      length: P.
      width: the width of a vector.
      heads: the number of attention heads.

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
    """Return the only tensor of a prompt adapter, or raise an error with all problems.

    Args:
      reader: the adapter.
      expected: the expected values of fields of the config.
      sizes: the shape of the entry for each of the P vectors.
      prompts: the number of prompts in the tensor; the first comes before the tokens.

    Returns:
      float32 `[P, *sizes]`.

    Raises:
      InputError: the config needs unsupported features, or tensors are unknown, missing or of the
        wrong shape; the error lists all.
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
