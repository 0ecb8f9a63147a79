"""Gemma 2 and Gemma 3 in GGUF files: sizes from the metadata.

Some numbers are not in the files. They are those that llama.cpp has in their place
(https://github.com/ggml-org/llama.cpp/tree/master/src/models).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fsl_jax.models.families.llama.config import LlamaConfig
from fsl_jax.models.families.llama.gguf import decoder_sizes
from fsl_jax.models.gguf.config_reader import GGUFConfigReader
from fsl_jax.models.tensors.tensor_map import StoredTensor

_WINDOW, _PATTERN = "attention.sliding_window", "attention.sliding_window_pattern"
# The models of 27 billion parameters scale attention by what a head has of the width, and not by
# its own width. Files tell them only by their layers.
_LAYERS_OF_27B = {"gemma2": 46, "gemma3": 62}


def gemma2_gguf_config(
    source: str, metadata: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> LlamaConfig:
    """The sizes of a Gemma 2 decoder in a GGUF file; as `llama_gguf_config`."""
    fields = GGUFConfigReader(source, metadata)
    sizes = _sizes(fields, tensors, every=2)
    sizes["window"] = fields.integer(_WINDOW, 4096)
    sizes["score_cap"] = fields.number("attn_logit_softcapping", 50.0)
    sizes["logit_cap"] = fields.number("final_logit_softcapping", 30.0)
    fields.finish()
    return LlamaConfig(**sizes, family="gemma2")


def gemma3_gguf_config(
    source: str, metadata: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> LlamaConfig:
    """The sizes of a Gemma 3 text decoder in a GGUF file; as `llama_gguf_config`."""
    fields = GGUFConfigReader(source, metadata)
    sizes = _sizes(fields, tensors, every=6)
    sizes["window"] = fields.integer(_WINDOW)
    sizes["logit_cap"] = fields.optional_number("final_logit_softcapping")
    sizes["local_rope_theta"] = fields.number("rope.freq_base_swa", 10_000.0)
    fields.finish()
    return LlamaConfig(**sizes, query_key_norm=True, family="gemma3_text")


def _sizes(
    fields: GGUFConfigReader, tensors: Mapping[str, StoredTensor], every: int
) -> dict[str, Any]:
    """What both have: unless the file says otherwise, one of so many layers has no window."""
    sizes = decoder_sizes(fields, tensors)
    layers, width, heads = (sizes[name] for name in ("num_layers", "hidden_size", "num_heads"))
    is_27b = layers == _LAYERS_OF_27B[fields.architecture]
    scale = float(width // heads if is_27b else sizes["head_dim"]) ** -0.5
    return sizes | {
        "sliding": _sliding(fields, layers, every),
        "post_norms": True,
        "norm_offset": 1.0,
        "activation": "tanh_gelu",
        "embedding_scale": width**0.5,
        "query_scale": fields.number("attention.scale", scale),
    }


def _sliding(fields: GGUFConfigReader, layers: int, every: int) -> tuple[bool, ...]:
    pattern = fields.values.get(_PATTERN)
    if isinstance(pattern, np.ndarray):
        if len(pattern) < layers:
            fields.problem(_PATTERN, pattern.tolist(), f"one for each of {layers} layers")
        return tuple(bool(each) for each in pattern[:layers])
    every = fields.integer(_PATTERN, every)
    return tuple((layer + 1) % every != 0 for layer in range(layers))
