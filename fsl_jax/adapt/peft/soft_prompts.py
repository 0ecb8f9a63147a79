"""Prompt tuning and P-tuning as PEFT keeps them: the vectors before the embedded tokens.

For an encoder-decoder PEFT keeps as many vectors a second time, for the decoder, and reads the
encoder's alone.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.methods.p_tuning import ENCODERS, PTuning
from fsl_jax.adapt.methods.prompt_tuning import PromptTuning
from fsl_jax.adapt.parts.soft_prompt import PROMPT
from fsl_jax.adapt.peft.prompts import TENSOR, prompt_config, read_prompt, submodules
from fsl_jax.models.pretrained import Pretrained

Leaves = dict[str, np.ndarray]


def write_prompt_tuning(
    leaves: Mapping[str, np.ndarray], method: PromptTuning, pretrained: Pretrained
) -> tuple[Leaves, dict[str, Any]]:
    """The tensors and the config of a PEFT adapter.

    Args:
      leaves: `embeddings/word/prompt [P, D]`.
      method: the method.
      pretrained: the base model.

    Returns:
      The tensors by PEFT's names, and the values of `adapter_config.json`.
    """
    values = _config("PROMPT_TUNING", pretrained, method.length)
    return _tensors(leaves, pretrained), values | {"prompt_tuning_init": "RANDOM"}


def write_p_tuning(
    leaves: Mapping[str, np.ndarray], method: PTuning, pretrained: Pretrained
) -> tuple[Leaves, dict[str, Any]]:
    """The tensors and the config of a PEFT adapter; as `write_prompt_tuning`."""
    return _tensors(leaves, pretrained), {
        **_config("P_TUNING", pretrained, method.length),
        "encoder_reparameterization_type": method.encoder.upper(),
        "encoder_hidden_size": method.hidden,
        "encoder_num_layers": method.depth if method.encoder == "lstm" else 2,
        "encoder_dropout": 0.0,
    }


def read_prompt_tuning(
    values: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    pretrained: Pretrained,
    source: epath.PathLike,
) -> tuple[PromptTuning, Leaves]:
    """The method and the leaves of a PEFT adapter.

    Args:
      values: what `adapter_config.json` says.
      tensors: the tensors by PEFT's names.
      pretrained: the base model.
      source: the adapter, for errors.

    Returns:
      The method, and `embeddings/word/prompt` with its mask.

    Raises:
      InputError: as `read_prompt`.
    """
    leaves = _leaves("PROMPT_TUNING", values, tensors, pretrained, source)
    return PromptTuning(len(leaves[PROMPT])), leaves


def read_p_tuning(
    values: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    pretrained: Pretrained,
    source: epath.PathLike,
) -> tuple[PTuning, Leaves]:
    """The method and the leaves of a PEFT adapter; as `read_prompt_tuning`.

    The network that computed the prompt is not saved, so what the config says of it is taken as
    it is where there is such a network here.
    """
    leaves = _leaves("P_TUNING", values, tensors, pretrained, source)
    encoder = str(values.get("encoder_reparameterization_type", "MLP")).lower()
    hidden, depth = values.get("encoder_hidden_size"), values.get("encoder_num_layers")
    return PTuning(
        len(leaves[PROMPT]),
        encoder if encoder in ENCODERS else PTuning.encoder,
        hidden if isinstance(hidden, int) and hidden > 0 else PTuning.hidden,
        depth if isinstance(depth, int) and depth > 0 else PTuning.depth,
    ), leaves


def _config(peft_type: str, pretrained: Pretrained, length: int) -> dict[str, Any]:
    sizes = pretrained.config
    return prompt_config(peft_type, pretrained, length, sizes.hidden_size, sizes.num_heads)


def _tensors(leaves: Mapping[str, np.ndarray], pretrained: Pretrained) -> Leaves:
    prompt = leaves[PROMPT] * _scale(pretrained)
    unread = np.zeros_like(prompt) if pretrained.config.is_encoder_decoder else prompt[:0]
    return {TENSOR: np.concatenate([prompt, unread])}


def _leaves(
    peft_type: str,
    values: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    pretrained: Pretrained,
    source: epath.PathLike,
) -> Leaves:
    width = pretrained.config.hidden_size
    parts = submodules(pretrained.config)
    if values.get("num_transformer_submodules") == 1:
        # PEFT's examples have it so for an encoder-decoder too: without what is not read.
        parts = 1
    expected = {"peft_type": peft_type, "token_dim": width, "num_transformer_submodules": parts}
    # These say nothing of a prompt before the embedded tokens.
    rest = {name: each for name, each in values.items() if name not in _OF_LAYERS}
    prompt = read_prompt(expected, rest, tensors, pretrained, source, (width,), parts)
    mask = np.ones(len(prompt), np.float32)
    return {PROMPT: prompt / _scale(pretrained), f"{PROMPT}_mask": mask}


_OF_LAYERS = ("num_attention_heads", "num_layers")


def _scale(pretrained: Pretrained) -> np.float32:
    """What the model multiplies embedded tokens by, and PEFT's prompts not: Gemma does so."""
    return np.float32(getattr(pretrained.config, "embedding_scale", 1.0))
