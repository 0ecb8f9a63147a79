"""Prompt tuning and P-tuning in PEFT's format: the vectors before the embedded tokens.

For an encoder-decoder PEFT stores the same number of vectors again for the decoder, but reads only
those of the encoder.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fsl_jax.adapt.methods.p_tuning import ENCODERS, PTuning
from fsl_jax.adapt.methods.prompt_tuning import PromptTuning
from fsl_jax.adapt.parts.soft_prompt import PROMPT
from fsl_jax.adapt.peft.adapter_kind import AdapterKind, Leaves
from fsl_jax.adapt.peft.adapter_reader import AdapterReader
from fsl_jax.adapt.peft.prompts import (
    PROMPT_FIELDS,
    READABLE,
    TENSOR,
    has_prompt,
    network_size,
    prompt_config,
    read_prompt,
    submodules,
)
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.pretrained import Pretrained

_MOST_LAYERS = 8
_POOLED = (
    "task_type is SEQ_CLS: PEFT classifies by the hidden state of the first virtual token, which "
    "encoders do not give here. Use another kind of adapter, such as LoRA or prefix tuning"
)


def _write_prompt_tuning(
    leaves: Mapping[str, np.ndarray], method: PromptTuning, pretrained: Pretrained
) -> tuple[Leaves, dict[str, Any]]:
    """Write `embeddings/word/prompt [P, D]`."""
    fields = _fields(pretrained, method.length) | {"prompt_tuning_init": "RANDOM"}
    return _tensors(leaves, pretrained), fields


def _write_p_tuning(
    leaves: Mapping[str, np.ndarray], method: PTuning, pretrained: Pretrained
) -> tuple[Leaves, dict[str, Any]]:
    """Write `embeddings/word/prompt [P, D]`, and the sizes of the network that computed it."""
    return _tensors(leaves, pretrained), {
        **_fields(pretrained, method.length),
        "encoder_reparameterization_type": method.encoder.upper(),
        "encoder_hidden_size": method.hidden,
        "encoder_num_layers": method.depth if method.encoder == "lstm" else 2,
        "encoder_dropout": 0.0,
    }


def _read_prompt_tuning(reader: AdapterReader) -> tuple[PromptTuning, Leaves]:
    """Read `embeddings/word/prompt` with its mask."""
    leaves = _leaves(reader)
    return PromptTuning(len(leaves[PROMPT])), leaves


def _read_p_tuning(reader: AdapterReader) -> tuple[PTuning, Leaves]:
    """Read `embeddings/word/prompt` with its mask.

    The network that computed the prompt is not saved. The method has the sizes in the config if
    such a network exists here.
    """
    leaves, values = _leaves(reader), reader.values
    encoder = str(values.get("encoder_reparameterization_type", "MLP")).lower()
    largest = 2 * max(reader.pretrained.config.hidden_size, 512)
    return PTuning(
        len(leaves[PROMPT]),
        encoder if encoder in ENCODERS else PTuning.encoder,
        network_size(values.get("encoder_hidden_size"), PTuning.hidden, largest),
        network_size(values.get("encoder_num_layers"), PTuning.depth, _MOST_LAYERS),
    ), leaves


def _fields(pretrained: Pretrained, length: int) -> dict[str, Any]:
    config = pretrained.config
    return prompt_config(pretrained, length, config.hidden_size, config.num_heads)


def _tensors(leaves: Mapping[str, np.ndarray], pretrained: Pretrained) -> Leaves:
    prompt = leaves[PROMPT] * _scale(pretrained)
    unread = np.zeros_like(prompt) if pretrained.config.is_encoder_decoder else prompt[:0]
    return {TENSOR: np.concatenate([prompt, unread])}


def _leaves(reader: AdapterReader) -> Leaves:
    width = reader.pretrained.config.hidden_size
    parts = submodules(reader.pretrained.config)
    if reader.values.get("num_transformer_submodules") == 1:
        # PEFT's examples have this for an encoder-decoder too, without the vectors that are not
        # read.
        parts = 1
    if reader.values.get("task_type") == "SEQ_CLS" and _classifies_first_token(reader.pretrained):
        reader.report([_POOLED])
    # The numbers of heads and layers do not matter for a prompt before the embedded tokens.
    expected = {"token_dim": width, "num_transformer_submodules": parts}
    prompt = read_prompt(reader, expected, (width,), parts)
    mask = np.ones(len(prompt), np.float32)
    # NumPy would warn of a NaN that signals; like other values, it is read as it is.
    with np.errstate(invalid="ignore"):
        unscaled = prompt / _scale(reader.pretrained)
    return {PROMPT: unscaled, f"{PROMPT}_mask": mask}


def _classifies_first_token(pretrained: Pretrained) -> bool:
    return FAMILIES[pretrained.config.family].classifier.pooling == "cls"


def _scale(pretrained: Pretrained) -> np.float32:
    """Return the factor of embedded tokens, as in Gemma; PEFT does not apply it to prompts."""
    return np.float32(getattr(pretrained.config, "embedding_scale", 1.0))


PROMPT_TUNING_KIND = AdapterKind(
    "PROMPT_TUNING",
    PromptTuning,
    has_prompt,
    _write_prompt_tuning,
    _read_prompt_tuning,
    PROMPT_FIELDS,
    READABLE,
)
P_TUNING_KIND = AdapterKind(
    "P_TUNING",
    PTuning,
    has_prompt,
    _write_p_tuning,
    _read_p_tuning,
    PROMPT_FIELDS,
    READABLE,
)
