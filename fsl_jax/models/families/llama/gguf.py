"""Llama, Mistral, Qwen2 and Qwen3 in GGUF files: sizes from the metadata, and the table of names.

The table is that of all decoders that are built like Llama.
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
from fsl_jax.models.tensors.tensor_map import (
    KEEP,
    TRANSPOSE,
    StoredTensor,
    TensorMap,
    TensorRule,
    Transform,
)

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

# What their names say of models, as `general.architecture`.
_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"biases": ("query", "key", "value")},
    "qwen3": {"query_key_norm": True},
}
# Only in files of the architecture of these are the two halves of a head interleaved.
_INTERLEAVED = ("llama", "mistral")


def llama_gguf_config(
    source: str, metadata: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> LlamaConfig:
    """The sizes of a Llama, Mistral, Qwen2 or Qwen3 decoder in a GGUF file.

    Mistral has the architecture of Llama there; a sliding window tells the two apart.

    Args:
      source: the file, for errors.
      metadata: of the file.
      tensors: the file's tensors by name.

    Returns:
      The config.

    Raises:
      InputError: sizes are missing, or the checkpoint needs what is not supported.
    """
    fields = GGUFConfigReader(source, metadata)
    sizes = decoder_sizes(fields, tensors)
    window = fields.count("attention.sliding_window", 0)
    is_mistral = window > 0 and fields.architecture == "llama"
    if not is_mistral and 0 < window < sizes["max_length"]:
        fields.problem("attention.sliding_window", window, "none, or that of the longest text")
    fields.finish()
    sliding = {"window": window, "sliding": (True,) * sizes["num_layers"]} if is_mistral else {}
    family = "mistral" if is_mistral else fields.architecture
    return LlamaConfig(**sizes, **sliding, **_ARCHITECTURES[fields.architecture], family=family)


def decoder_sizes(fields: GGUFConfigReader, tensors: Mapping[str, StoredTensor]) -> dict[str, Any]:
    """Reads the sizes that all decoders have which are built like Llama.

    Args:
      fields: of the file, to which faults are noted.
      tensors: the file's tensors by name.

    Returns:
      Arguments of `LlamaConfig`.
    """
    fields.expect("rope.scaling.type", "none", "linear")
    # So older files name the factor.
    fields.expect("rope.scale_linear", 1.0)
    fields.expect("expert_count", 0)
    heads, width = fields.integer("attention.head_count"), fields.integer("embedding_length")
    head_dim = fields.integer("attention.key_length", max(1, width // heads))
    fields.expect("attention.value_length", head_dim)
    fields.expect("rope.dimension_count", head_dim)
    return {
        "vocab_size": fields.rows(tensors),
        "hidden_size": width,
        "mlp_size": fields.integer("feed_forward_length"),
        "num_layers": fields.integer("block_count"),
        "num_heads": heads,
        "num_kv_heads": fields.integer("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "max_length": fields.integer("context_length"),
        "rope_theta": (theta := fields.number("rope.freq_base", 10_000.0)),
        "rope_scaling": _scaling(fields, tensors, head_dim, theta),
        "norm_epsilon": fields.number("attention.layer_norm_rms_epsilon", 1e-5),
        "tied": "output.weight" not in tensors,
    }


def _scaling(
    fields: GGUFConfigReader,
    tensors: Mapping[str, StoredTensor],
    head_dim: int,
    theta: float,
) -> RotaryScaling | None:
    if _FACTORS not in tensors:
        is_linear = fields.values.get("rope.scaling.type") == "linear"
        return LinearScaling(fields.number("rope.scaling.factor")) if is_linear else None
    # The file has what each frequency is divided by. How it came about is known: Llama 3.1's
    # scaling has one number that differs between models, and its largest factor is that one.
    factors = np.asarray(tensors[_FACTORS].load(), np.float32).reshape(-1)
    scaling = Llama3Scaling(float(factors.max(initial=1)), 1.0, 4.0, 8192)
    plain, scaled = (rotary_frequencies(head_dim, theta, each) for each in (None, scaling))
    if factors.shape != plain.shape or not np.allclose(factors, plain / scaled, rtol=1e-4):
        fields.problem(_FACTORS, "another scaling", "the factors of Llama 3.1 and its successors")
    return scaling


def llama_gguf_tensor_map(config: LlamaConfig) -> TensorMap:
    """The names of the tensors of a GGUF file of any decoder that is built like Llama."""
    output = () if config.tied else (TensorRule("output.weight", "unembedding/kernel", TRANSPOSE),)
    return TensorMap(
        rules=(
            TensorRule("token_embd.weight", "embeddings/word/embedding"),
            TensorRule("output_norm.weight", "final_norm/scale", _scale(config)),
            *_layer_rules(config),
            *output,
        ),
        # Part of the config.
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
    """What is added to a norm's scale at run time has been added in the file already."""
    if not config.norm_offset:
        return KEEP
    offset = np.float32(config.norm_offset)
    return Transform(lambda tensor: tensor - offset, lambda leaf: leaf + offset)


def _interleaved(heads: int) -> Transform:
    """Rows whose pairs are neighbours in the file, and a half of the head apart in the tree."""

    def to_leaf(tensor: np.ndarray) -> np.ndarray:
        rows = tensor.reshape(heads, -1, 2, tensor.shape[1])
        return rows.swapaxes(1, 2).reshape(tensor.shape).T

    def to_tensor(leaf: np.ndarray) -> np.ndarray:
        rows = leaf.T.reshape(heads, 2, -1, leaf.shape[0])
        return rows.swapaxes(1, 2).reshape(leaf.T.shape)

    return Transform(to_leaf, to_tensor, lambda shape: shape[::-1])
