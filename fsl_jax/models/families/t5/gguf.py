"""T5 in GGUF files: the sizes in the metadata, and the tensor map.

The files lack some numbers. For these, llama.cpp's defaults are used
(https://github.com/ggml-org/llama.cpp/tree/master/src/models).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fsl_jax.models.families.t5.config import T5Config
from fsl_jax.models.gguf.config_reader import GGUFConfigReader
from fsl_jax.models.tensors.module_rules import dense_rules, embedding_rules, norm_rules
from fsl_jax.models.tensors.stored import StoredTensor
from fsl_jax.models.tensors.tensor_map import TRANSPOSE, TensorMap, TensorRule

_OUTPUT, _GATE = "output.weight", "enc.blk.0.ffn_gate.weight"
_PROJECTIONS = {"q": "query", "k": "key", "v": "value", "o": "output"}
_MAX_DISTANCE = 128


def t5_gguf_config(
    source: str, metadata: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> T5Config:
    """Read the sizes of a T5 encoder-decoder in a GGUF file; see `llama_gguf_config`.

    A model with a gate is T5 1.1, FLAN-T5 or mT5, and its gate uses GELU. A model without a gate is
    T5 1.0, which scales hidden states before the output embedding.
    """
    reader = GGUFConfigReader(source, metadata, tensors)
    reader.expect("attention.causal", True)
    layers, vocabulary = reader.layers("block_count"), reader.rows()
    reader.expect_same_layers()
    is_gated, tied = _GATE in tensors, _OUTPUT not in tensors
    heads, head_dim = reader.size("attention.head_count"), reader.size("attention.key_length")
    reader.expect("attention.head_count_kv", heads)
    if (values := reader.count("attention.value_length", head_dim)) != head_dim:
        reader.problem("attention.value_length", values, f"{head_dim}, as attention.key_length")
    buckets = reader.size("attention.relative_buckets_count")
    if not 4 <= buckets <= 2 * _MAX_DISTANCE - 1:
        reader.problem("attention.relative_buckets_count", buckets, f"4 to {2 * _MAX_DISTANCE - 1}")
    start = reader.count("decoder_start_token_id", 0)
    if start >= vocabulary:
        reader.problem("decoder_start_token_id", start, f"one of {vocabulary} tokens")
    sizes: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": reader.size("embedding_length"),
        "mlp_size": reader.size("feed_forward_length"),
        "num_layers": layers,
        "num_decoder_layers": reader.layers("decoder_block_count", layers),
        "num_heads": heads,
        "head_dim": head_dim,
        "max_length": reader.integer("context_length"),
        "num_buckets": buckets,
        "norm_epsilon": reader.number("attention.layer_norm_rms_epsilon", 1e-6),
        "decoder_start_token": start,
    }
    reader.finish(unused="rope.")
    return T5Config(
        **sizes,
        feed_forward="gated-gelu" if is_gated else "relu",
        max_distance=_MAX_DISTANCE,
        tied=tied,
        scaled=tied or not is_gated,
    )


def t5_gguf_tensor_map(config: T5Config) -> TensorMap:
    """Return the tensor map of a GGUF file with a T5."""
    output = () if config.tied else (TensorRule(_OUTPUT, "unembedding/kernel", TRANSPOSE),)
    return TensorMap(
        rules=(
            *embedding_rules({"token_embd": "embeddings/word"}),
            *_stack_rules(config, "enc", "encoder", {"attn": "attention"}),
            *_stack_rules(
                config, "dec", "decoder", {"attn": "attention", "cross_attn": "cross_attention"}
            ),
            *output,
        ),
        # Unused relative positions, which some checkpoints have.
        ignored=(r"dec\.blk\.\d+\.cross_attn_rel_b\.weight",),
    )


def _stack_rules(
    config: T5Config, short: str, stack: str, attentions: Mapping[str, str]
) -> Iterator[TensorRule]:
    """Return the rules of a stack, whose first layer has the relative positions for all layers."""
    yield from embedding_rules({f"{short}.blk.0.attn_rel_b": f"{stack}/relative_position"})
    yield from norm_rules({f"{short}.output_norm": f"{stack}/final_norm"}, bias=False)
    maps = {
        f"{name}_{letter}": f"{path}/{projection}"
        for name, path in attentions.items()
        for letter, projection in _PROJECTIONS.items()
    }
    gate = {"ffn_gate": "mlp/gate"} if config.feed_forward.startswith("gated-") else {}
    maps |= {"ffn_up": "mlp/up", "ffn_down": "mlp/down", **gate}
    layer, inside = f"{short}.blk.{{layer}}", f"{stack}/layers"
    dense = {f"{layer}.{name}": f"{inside}/{path}" for name, path in maps.items()}
    yield from dense_rules(dense, bias=False)
    norms = {**attentions, "ffn": "mlp"}
    scales = {f"{layer}.{name}_norm": f"{inside}/{path}/norm" for name, path in norms.items()}
    yield from norm_rules(scales, bias=False)
