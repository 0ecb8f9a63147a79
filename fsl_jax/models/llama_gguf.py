"""Llama, Qwen2 and Qwen3 in GGUF files: sizes from the metadata, and the table of names."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fsl_jax.models.fields import Fields
from fsl_jax.models.llama_config import LlamaConfig
from fsl_jax.models.names import TRANSPOSE, Name, NameTable, StoredTensor, Transform
from fsl_jax.models.rotary import (
    LinearScaling,
    Llama3Scaling,
    RotaryScaling,
    rotary_frequencies,
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
_HEAD_NORMS = {"attn_q_norm": "attention/query_norm", "attn_k_norm": "attention/key_norm"}
_FACTORS = "rope_freqs.weight"

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"biases": ("query", "key", "value")},
    "qwen3": {"query_key_norm": True},
}
"""What their names say of models, as `general.architecture`."""


def llama_gguf_config(
    source: str, metadata: Mapping[str, Any], tensors: Mapping[str, StoredTensor], vocab_size: int
) -> LlamaConfig:
    """The sizes of a checkpoint in a GGUF file, of one of the `ARCHITECTURES`.

    Args:
      source: the file, for errors.
      metadata: of the file.
      tensors: the file's tensors by name.
      vocab_size: rows of the file's token embedding.

    Returns:
      The config.

    Raises:
      InputError: sizes are missing, or the checkpoint needs what is not supported.
    """
    architecture = metadata["general.architecture"]
    prefix = f"{architecture}."
    given = {
        key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)
    }
    fields = Fields(f"{source} ({prefix}* metadata)", given)
    fields.expect("rope.scaling.type", "none", "linear")
    fields.expect("expert_count", 0)
    heads, width = fields.integer("attention.head_count"), fields.integer("embedding_length")
    head_dim = fields.integer("attention.key_length", max(1, width // heads))
    fields.expect("attention.value_length", head_dim)
    fields.expect("rope.dimension_count", head_dim)
    sizes: dict[str, Any] = {
        "hidden_size": width,
        "mlp_size": fields.integer("feed_forward_length"),
        "num_layers": fields.integer("block_count"),
        "num_heads": heads,
        "num_kv_heads": fields.integer("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "max_length": fields.integer("context_length"),
        "rope_theta": (theta := fields.number("rope.freq_base", 10_000.0)),
        "rope_scaling": _scaling(fields, given, tensors, head_dim, theta),
        "norm_epsilon": fields.number("attention.layer_norm_rms_epsilon", 1e-5),
    }
    fields.finish()
    sizes |= {"vocab_size": vocab_size, "tied": "output.weight" not in tensors}
    return LlamaConfig(**sizes, **ARCHITECTURES[architecture], family=architecture)


def _scaling(
    fields: Fields,
    given: Mapping[str, Any],
    tensors: Mapping[str, StoredTensor],
    head_dim: int,
    theta: float,
) -> RotaryScaling | None:
    if _FACTORS not in tensors:
        is_linear = given.get("rope.scaling.type") == "linear"
        return LinearScaling(fields.number("rope.scaling.factor")) if is_linear else None
    # The file has what each frequency is divided by. How it came about is known: Llama 3.1's
    # scaling has one number that differs between models, and its largest factor is that one.
    factors = np.asarray(tensors[_FACTORS].load(), np.float32).reshape(-1)
    scaling = Llama3Scaling(float(factors.max(initial=1)), 1.0, 4.0, 8192)
    plain, scaled = (rotary_frequencies(head_dim, theta, each) for each in (None, scaling))
    if factors.shape != plain.shape or not np.allclose(factors, plain / scaled, rtol=1e-4):
        fields.fault(_FACTORS, "another scaling", "the factors of Llama 3.1 and its successors")
    return scaling


def llama_gguf_names(config: LlamaConfig) -> NameTable:
    """The names of the tensors of a GGUF file of one of the `ARCHITECTURES`."""
    output = () if config.tied else (Name("output.weight", "unembedding/kernel", TRANSPOSE),)
    return NameTable(
        names=(
            Name("token_embd.weight", "embeddings/word/embedding"),
            Name("output_norm.weight", "final_norm/scale"),
            *_layer_names(config),
            *output,
        ),
        # Part of the config.
        ignored=(re.escape(_FACTORS),),
    )


def _layer_names(config: LlamaConfig) -> Iterator[Name]:
    block = "blk.{layer}"
    # Only in files of this architecture are the two halves of a head interleaved.
    heads = {"attn_q": config.num_heads, "attn_k": config.num_kv_heads}
    interleaved = heads if config.family == "llama" else {}
    for name, path in _DENSE.items():
        transform = _interleaved(interleaved[name]) if name in interleaved else TRANSPOSE
        yield Name(f"{block}.{name}.weight", f"layers/{path}/kernel", transform)
        if path.partition("/")[2] in config.biases:
            yield Name(f"{block}.{name}.bias", f"layers/{path}/bias")
    for name, path in (_NORMS | (_HEAD_NORMS if config.query_key_norm else {})).items():
        yield Name(f"{block}.{name}.weight", f"layers/{path}/scale")


def _interleaved(heads: int) -> Transform:
    """Rows whose pairs are neighbours in the file, and a half of the head apart in the tree."""

    def to_leaf(tensor: np.ndarray) -> np.ndarray:
        rows = tensor.reshape(heads, -1, 2, tensor.shape[1])
        return rows.swapaxes(1, 2).reshape(tensor.shape).T

    def to_tensor(leaf: np.ndarray) -> np.ndarray:
        rows = leaf.T.reshape(heads, 2, -1, leaf.shape[0])
        return rows.swapaxes(1, 2).reshape(leaf.T.shape)

    return Transform(to_leaf, to_tensor, lambda shape: shape[::-1])
