"""Llama, Mistral, Qwen2 and Qwen3 in GGUF files: the sizes in the metadata, and the tensor map.

All decoders that are built like Llama use this tensor map.
"""

import math
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
_FACTORS, _SCALING_TYPE = "rope_freqs.weight", "rope.scaling.type"

# The config fields that follow from `general.architecture` alone.
_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"biases": ("query", "key", "value")},
    "qwen3": {"query_key_norm": True},
}
_KEY_LENGTH = "attention.key_length"
_HEAD_SIZES = (
    "attention.value_length",
    "attention.key_length_swa",
    "attention.value_length_swa",
    "rope.dimension_count",
    "rope.dimension_count_swa",
)
_LAYOUTS = {
    # The interleaved rows of queries and keys, which files of Llama always have.
    "llama": ("reference", "Meta AI original pth"),
    "qwen2": ("reference",),
    "qwen3": ("reference",),
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
    reader = GGUFConfigReader(source, metadata, tensors)
    sizes = decoder_sizes(reader)
    window = reader.count("attention.sliding_window", 0)
    is_mistral = window > 0 and reader.architecture == "llama"
    if not is_mistral and 0 < window < sizes["max_length"]:
        reader.problem("attention.sliding_window", window, "none, or that of the longest text")
    reader.expect("rope.freq_base_swa", sizes["rope_theta"])
    usual = sizes["head_dim"] ** -0.5
    if not math.isclose(scale := reader.factor("attention.scale") or usual, usual, rel_tol=1e-6):
        reader.problem("attention.scale", scale, f"{usual}, from the width of a head")
    reader.expect("tensor_data_layout", *_LAYOUTS[reader.architecture])
    reader.finish()
    sliding = {"window": window, "sliding": (True,) * sizes["num_layers"]} if is_mistral else {}
    family = "mistral" if is_mistral else reader.architecture
    return LlamaConfig(**sizes, **sliding, **_ARCHITECTURES[reader.architecture], family=family)


def decoder_sizes(reader: GGUFConfigReader) -> dict[str, Any]:
    """Read the sizes that all decoders built like Llama have.

    Args:
      reader: a reader of the file's metadata, which collects the problems.

    Returns:
      Arguments of `LlamaConfig`.
    """
    reader.expect("attention.causal", True)
    layers = reader.layers("block_count")
    reader.expect_same_layers()
    heads, width = reader.size("attention.head_count"), reader.size("embedding_length")
    head_dim = _head_dim(reader, width // heads)
    kv_heads = reader.size("attention.head_count_kv", heads)
    if heads % kv_heads:
        reader.problem("attention.head_count_kv", kv_heads, f"a divisor of head_count, {heads}")
    theta = reader.number("rope.freq_base", 10_000.0)
    return {
        "vocab_size": reader.rows(),
        "hidden_size": width,
        "mlp_size": reader.size("feed_forward_length"),
        "num_layers": layers,
        "num_heads": heads,
        "num_kv_heads": kv_heads,
        "head_dim": head_dim,
        "max_length": reader.integer("context_length"),
        "rope_theta": theta,
        "rope_scaling": _scaling(reader, head_dim, theta),
        "norm_epsilon": reader.number("attention.layer_norm_rms_epsilon", 1e-5),
        "tied": "output.weight" not in reader.tensors,
    }


def _head_dim(reader: GGUFConfigReader, default: int) -> int:
    """Read the width of a head, which must be the same for queries, keys, values and rotation."""
    name, source = _KEY_LENGTH, _KEY_LENGTH
    if _KEY_LENGTH not in reader.values:
        name, source = "attention.head_count", "embedding_length / attention.head_count"
    head_dim = reader.size(_KEY_LENGTH, max(1, default))
    if head_dim % 2:
        reader.problem(name, reader.values.get(name), "heads of an even width, to rotate halves")
    for other in _HEAD_SIZES:
        if (size := reader.count(other, head_dim)) != head_dim:
            reader.problem(other, size, f"{head_dim}, from {source}")
    return head_dim


def _scaling(reader: GGUFConfigReader, head_dim: int, theta: float) -> RotaryScaling | None:
    factor = _linear_factor(reader)
    if _FACTORS not in reader.tensors:
        return None if factor == 1 else LinearScaling(factor)
    if factor != 1:
        reader.problem("rope.scaling.factor", factor, f"1 in a file with {_FACTORS}")
    # The file has the divisor of each frequency. The divisors must come from Llama 3.1's scaling,
    # where only one number differs between models: the largest divisor.
    factors = np.asarray(reader.tensors[_FACTORS].load(), np.float32).reshape(-1)
    scaling = Llama3Scaling(float(factors.max(initial=1)), 1.0, 4.0, 8192)
    # Bases and factors of damaged files may be so large that nothing can be compared.
    with np.errstate(all="ignore"):
        plain, scaled = (rotary_frequencies(head_dim, theta, kind) for kind in (None, scaling))
        is_llama3 = factors.shape == plain.shape and np.allclose(factors, plain / scaled, rtol=1e-4)
    if not is_llama3:
        reader.problem(_FACTORS, "another scaling", "the factors of Llama 3.1 and its successors")
    return scaling


def _linear_factor(reader: GGUFConfigReader) -> float:
    """Read the factor of linear scaling, which files without a type of scaling have too."""
    reader.expect(_SCALING_TYPE, "linear", "none")
    factor, older = reader.factor("rope.scaling.factor"), reader.factor("rope.scale_linear")
    if factor is None:
        factor = older or 1.0
    elif older is not None and older != factor:
        reader.problem("rope.scale_linear", older, f"{factor}, as in rope.scaling.factor")
    return 1.0 if reader.values.get(_SCALING_TYPE) == "none" else factor


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
