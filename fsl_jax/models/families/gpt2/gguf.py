"""GPT-2 in GGUF files: sizes from the metadata, and the table of names."""

from collections.abc import Mapping
from typing import Any

from fsl_jax.models.families.gpt2.model import GPT2Config
from fsl_jax.models.gguf.config_reader import GGUFConfigReader
from fsl_jax.models.tensors.module_rules import dense_rules, embedding_rules, norm_rules
from fsl_jax.models.tensors.tensor_map import TRANSPOSE, StoredTensor, TensorMap, TensorRule

_EMBEDDINGS = {"token_embd": "embeddings/word", "position_embd": "embeddings/position"}
_DENSE = {
    "blk.{layer}.attn_output": "layers/attention/output",
    "blk.{layer}.ffn_up": "layers/mlp/up",
    "blk.{layer}.ffn_down": "layers/mlp/down",
}
_JOINED = "blk.{layer}.attn_qkv"
_PARTS = ("layers/attention/query", "layers/attention/key", "layers/attention/value")
_NORMS = {
    "blk.{layer}.attn_norm": "layers/attention/norm",
    "blk.{layer}.ffn_norm": "layers/mlp/norm",
    "output_norm": "final_norm",
}
_OUTPUT = "output.weight"


def gpt2_gguf_config(
    source: str, metadata: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> GPT2Config:
    """The sizes of a GPT-2 decoder in a GGUF file; as `llama_gguf_config`."""
    fields = GGUFConfigReader(source, metadata)
    width = fields.integer("embedding_length")
    sizes: dict[str, Any] = {
        "vocab_size": fields.rows(tensors),
        "hidden_size": width,
        "mlp_size": fields.integer("feed_forward_length", 4 * width),
        "num_layers": fields.integer("block_count"),
        "num_heads": fields.integer("attention.head_count"),
        "max_length": fields.integer("context_length"),
        "norm_epsilon": fields.number("attention.layer_norm_epsilon", 1e-5),
    }
    fields.finish()
    return GPT2Config(**sizes, tied=_OUTPUT not in tensors)


def gpt2_gguf_tensor_map(config: GPT2Config) -> TensorMap:
    """The names of the tensors of a GGUF file of GPT-2."""
    output = () if config.tied else (TensorRule(_OUTPUT, "unembedding/kernel", TRANSPOSE),)
    parts = [(path, (number, len(_PARTS))) for number, path in enumerate(_PARTS)]
    # The weights of queries, keys and values lie below one another, their biases in a row.
    weights = (
        TensorRule(f"{_JOINED}.weight", f"{path}/kernel", TRANSPOSE, part, axis=0)
        for path, part in parts
    )
    return TensorMap(
        (
            *embedding_rules(_EMBEDDINGS),
            *dense_rules(_DENSE),
            *weights,
            *(TensorRule(f"{_JOINED}.bias", f"{path}/bias", part=part) for path, part in parts),
            *norm_rules(_NORMS),
            *output,
        )
    )
