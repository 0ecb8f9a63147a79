"""Gemma 2 and Gemma 3 in GGUF files: the sizes in the metadata.

The files lack some numbers. For these, llama.cpp's defaults are used
(https://github.com/ggml-org/llama.cpp/tree/master/src/models).
"""

from collections.abc import Mapping
from typing import Any

from fsl_jax.models.families.llama.config import LlamaConfig
from fsl_jax.models.families.llama.gguf import decoder_sizes
from fsl_jax.models.gguf.config_reader import GGUFConfigReader
from fsl_jax.models.tensors.stored import StoredTensor

_WINDOW, _PATTERN = "attention.sliding_window", "attention.sliding_window_pattern"
# The 27B models scale attention by the model width divided by the number of heads, not by the width
# of a head. Only their number of layers distinguishes them.
_LAYERS_OF_27B = {"gemma2": 46, "gemma3": 62}


def gemma2_gguf_config(
    source: str, metadata: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> LlamaConfig:
    """Read the sizes of a Gemma 2 decoder in a GGUF file; see `llama_gguf_config`."""
    reader = GGUFConfigReader(source, metadata, tensors)
    sizes = _sizes(reader, every=2)
    sizes["window"] = reader.integer(_WINDOW, 4096)
    sizes["score_cap"] = reader.number("attn_logit_softcapping", 50.0)
    sizes["logit_cap"] = reader.number("final_logit_softcapping", 30.0)
    reader.expect("rope.freq_base_swa", sizes["rope_theta"])
    reader.finish()
    return LlamaConfig(**sizes, family="gemma2")


def gemma3_gguf_config(
    source: str, metadata: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> LlamaConfig:
    """Read the sizes of a Gemma 3 text decoder in a GGUF file; see `llama_gguf_config`."""
    reader = GGUFConfigReader(source, metadata, tensors)
    sizes = _sizes(reader, every=6)
    sizes["window"] = reader.integer(_WINDOW)
    sizes["logit_cap"] = reader.factor("final_logit_softcapping")
    sizes["local_rope_theta"] = reader.number("rope.freq_base_swa", 10_000.0)
    reader.finish()
    return LlamaConfig(**sizes, query_key_norm=True, family="gemma3_text")


def _sizes(reader: GGUFConfigReader, every: int) -> dict[str, Any]:
    """Read the sizes of both. By default the last of every `every` layers has no window."""
    sizes = decoder_sizes(reader)
    layers, width, heads = (sizes[name] for name in ("num_layers", "hidden_size", "num_heads"))
    is_27b = layers == _LAYERS_OF_27B[reader.architecture]
    scale = float(max(1, width // heads) if is_27b else sizes["head_dim"]) ** -0.5
    # The embedded tokens are scaled by the width; another factor would be a contradiction.
    reader.expect("embedding_scale", 0)
    return sizes | {
        "sliding": _sliding(reader, layers, every),
        "post_norms": True,
        "norm_offset": 1.0,
        "activation": "tanh_gelu",
        "embedding_scale": width**0.5,
        "query_scale": reader.factor("attention.scale") or scale,
    }


def _sliding(reader: GGUFConfigReader, layers: int, every: int) -> tuple[bool, ...]:
    pattern = reader.values.get(_PATTERN)
    if not isinstance(pattern, list):
        # The last of `every` layers has no window; llama.cpp takes 0 for "all layers have one".
        every = reader.count(_PATTERN, every)
        return tuple(every == 0 or (layer + 1) % every != 0 for layer in range(layers))
    reader.expect(_PATTERN, pattern)
    if len(pattern) < layers or any(slides not in (0, 1) for slides in pattern):
        reader.problem(_PATTERN, pattern, f"true or false, one for each of {layers} layers")
        return (True,) * layers
    return tuple(bool(slides) for slides in pattern[:layers])
