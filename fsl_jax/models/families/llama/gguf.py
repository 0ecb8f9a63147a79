"""Llama, Mistral, Qwen2 and Qwen3 in GGUF files: the sizes in the metadata, and the tensor map.

All decoders that are built like Llama use this tensor map.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fsl_jax.models.attention.rotary import (
    LinearScaling,
    Llama3Scaling,
    RotaryScaling,
    rotary_frequencies,
)
from fsl_jax.models.families.llama.config import LlamaConfig
from fsl_jax.models.gguf.config_reader import GGUFConfigReader
from fsl_jax.models.tensors.stored import StoredTensor
from fsl_jax.models.tensors.tensor_map import KEEP, TRANSPOSE, TensorMap, TensorRule, Transform

_DENSE = {
    "attn_q": "attention/query",
    "attn_k": "attention/key",
    "attn_v": "attention/value",
    "attn_output": "attention/output",
    "ffn_gate": "mlp/gate",
    "ffn_up": "mlp/up",
    "ffn_down": "mlp/down",
}
_NORMS = {"attn_norm": "attention/norm", "ffn_norm": "mlp/norm"}
_POST_NORMS = {
    "post_attention_norm": "attention/post_norm",
    "post_ffw_norm": "mlp/post_norm",
}
_HEAD_NORMS = {"attn_q_norm": "attention/query_norm", "attn_k_norm": "attention/key_norm"}
_FACTORS = "rope_freqs.weight"

# The config fields that follow from `general.architecture` alone.
_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"biases": ("query", "key", "value")},
    "qwen3": {"query_key_norm": True},
}
# The families whose files interleave the two halves of a head.
_INTERLEAVED = ("llama", "mistral")


def llama_gguf_config(
    source: str, metadata: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> LlamaConfig:
    """Read the sizes of a Llama, Mistral, Qwen2 or Qwen3 decoder in a GGUF file.

    In these files, Mistral has the architecture of Llama; a sliding window tells the two apart.

    Args:
      source: the file, for errors.
      metadata: the file's metadata.
      tensors: the file's tensors by name.

    Returns:
      The config.

    Raises:
      InputError: sizes are missing, or the checkpoint needs something that is not supported.
    """
    reader = GGUFConfigReader(source, metadata)
    sizes = decoder_sizes(reader, tensors)
    window = reader.count("attention.sliding_window", 0)
    is_mistral = window > 0 and reader.architecture == "llama"
    if not is_mistral and 0 < window < sizes["max_length"]:
        reader.problem("attention.sliding_window", window, "none, or that of the longest text")
    reader.finish()
    sliding = {"window": window, "sliding": (True,) * sizes["num_layers"]} if is_mistral else {}
    family = "mistral" if is_mistral else reader.architecture
    return LlamaConfig(**sizes, **sliding, **_ARCHITECTURES[reader.architecture], family=family)


def decoder_sizes(reader: GGUFConfigReader, tensors: Mapping[str, StoredTensor]) -> dict[str, Any]:
    """Read the sizes that all decoders built like Llama have.

    Args:
      reader: a reader of the file's metadata, which collects the problems.
      tensors: the file's tensors by name.

    Returns:
      Arguments of `LlamaConfig`.
    """
    reader.expect("rope.scaling.type", "none", "linear")
    # The name of the factor in older files.
    reader.expect("rope.scale_linear", 1.0)
    reader.expect("expert_count", 0)
    heads, width = reader.integer("attention.head_count"), reader.integer("embedding_length")
    head_dim = reader.integer("attention.key_length", max(1, width // heads))
    reader.expect("attention.value_length", head_dim)
    reader.expect("rope.dimension_count", head_dim)
    return {
        "vocab_size": reader.rows(tensors),
        "hidden_size": width,
        "mlp_size": reader.integer("feed_forward_length"),
        "num_layers": reader.integer("block_count"),
        "num_heads": heads,
        "num_kv_heads": reader.integer("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "max_length": reader.integer("context_length"),
        "rope_theta": (theta := reader.number("rope.freq_base", 10_000.0)),
        "rope_scaling": _scaling(reader, tensors, head_dim, theta),
        "norm_epsilon": reader.number("attention.layer_norm_rms_epsilon", 1e-5),
        "tied": "output.weight" not in tensors,
    }


def _scaling(
    reader: GGUFConfigReader,
    tensors: Mapping[str, StoredTensor],
    head_dim: int,
    theta: float,
) -> RotaryScaling | None:
    if _FACTORS not in tensors:
        is_linear = reader.values.get("rope.scaling.type") == "linear"
        return LinearScaling(reader.number("rope.scaling.factor")) if is_linear else None
    # The file has the divisor of each frequency. The divisors must come from Llama 3.1's scaling,
    # where only one number differs between models: the largest divisor.
    factors = np.asarray(tensors[_FACTORS].load(), np.float32).reshape(-1)
    scaling = Llama3Scaling(float(factors.max(initial=1)), 1.0, 4.0, 8192)
    plain, scaled = (rotary_frequencies(head_dim, theta, kind) for kind in (None, scaling))
    if factors.shape != plain.shape or not np.allclose(factors, plain / scaled, rtol=1e-4):
        reader.problem(_FACTORS, "another scaling", "the factors of Llama 3.1 and its successors")
    return scaling


def llama_gguf_tensor_map(config: LlamaConfig) -> TensorMap:
    """Return the tensor map of a GGUF file with any decoder that is built like Llama."""
    output = () if config.tied else (TensorRule("output.weight", "unembedding/kernel", TRANSPOSE),)
    return TensorMap(
        rules=(
            TensorRule("token_embd.weight", "embeddings/word/embedding"),
            TensorRule("output_norm.weight", "final_norm/scale", _scale(config)),
            *_layer_rules(config),
            *output,
        ),
        # The config has these numbers.
        ignored=(re.escape(_FACTORS),),
    )


def _layer_rules(config: LlamaConfig) -> Iterator[TensorRule]:
    block = "blk.{layer}"
    heads = {"attn_q": config.num_heads, "attn_k": config.num_kv_heads}
    interleaved = heads if config.family in _INTERLEAVED else {}
    for name, path in _DENSE.items():
        transform = _interleaved(interleaved[name]) if name in interleaved else TRANSPOSE
        yield TensorRule(f"{block}.{name}.weight", f"layers/{path}/kernel", transform)
        if path.partition("/")[2] in config.biases:
            yield TensorRule(f"{block}.{name}.bias", f"layers/{path}/bias")
    norms = _NORMS | (_POST_NORMS if config.post_norms else {})
    for name, path in (norms | (_HEAD_NORMS if config.query_key_norm else {})).items():
        yield TensorRule(f"{block}.{name}.weight", f"layers/{path}/scale", _scale(config))


def _scale(config: LlamaConfig) -> Transform:
    """Return the transform of norm scales, which have the offset already added in the file."""
    if not config.norm_offset:
        return KEEP
    offset = np.float32(config.norm_offset)
    return Transform(lambda tensor: tensor - offset, lambda leaf: leaf + offset)


def _interleaved(heads: int) -> Transform:
    """Return the transform of kernels in which the file puts the two rows of a pair side by side.

    In the tree, the rows of a pair are half a head apart.
    """

    def to_leaf(tensor: np.ndarray) -> np.ndarray:
        rows = tensor.reshape(heads, -1, 2, tensor.shape[1])
        return rows.swapaxes(1, 2).reshape(tensor.shape).T

    def to_tensor(leaf: np.ndarray) -> np.ndarray:
        rows = leaf.T.reshape(heads, 2, -1, leaf.shape[0])
        return rows.swapaxes(1, 2).reshape(leaf.T.shape)

    return Transform(to_leaf, to_tensor, lambda shape: shape[::-1])
