"""GPT-2 in GGUF files: the sizes in the metadata, and the tensor map."""

from collections.abc import Mapping
from typing import Any

from fsl_jax.models.families.gpt2.model import GPT2Config
from fsl_jax.models.gguf.config_reader import GGUFConfigReader, multi_head_sizes
from fsl_jax.models.tensors.module_rules import dense_rules, embedding_rules, norm_rules
from fsl_jax.models.tensors.stored import StoredTensor
from fsl_jax.models.tensors.tensor_map import TRANSPOSE, TensorMap, TensorRule

_EMBEDDINGS = {"token_embd": "embeddings/word", "position_embd": "embeddings/position"}
_DENSE = {
    "blk.{layer}.attn_output": "layers/attention/output",
    "blk.{layer}.ffn_up": "layers/mlp/up",
    "blk.{layer}.ffn_down": "layers/mlp/down",
}
_FUSED = "blk.{layer}.attn_qkv"
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
    """Read the sizes of a GPT-2 decoder in a GGUF file; see `llama_gguf_config`."""
    reader = GGUFConfigReader(source, metadata, tensors)
    reader.expect("attention.causal", True)
    shared = multi_head_sizes(reader)
    sizes: dict[str, Any] = {
        **shared,
        "mlp_size": reader.size("feed_forward_length", 4 * shared["hidden_size"]),
        "max_length": reader.size("context_length"),
        "norm_epsilon": reader.number("attention.layer_norm_epsilon", 1e-5),
    }
    reader.finish(unused="rope.")
    return GPT2Config(**sizes, tied=_OUTPUT not in tensors)


def gpt2_gguf_tensor_map(config: GPT2Config) -> TensorMap:
    """Return the tensor map of a GGUF file with a GPT-2."""
    output = () if config.tied else (TensorRule(_OUTPUT, "unembedding/kernel", TRANSPOSE),)
    parts = [(path, (number, len(_PARTS))) for number, path in enumerate(_PARTS)]
    # The weights of queries, keys and values are joined along the first axis of the tensor.
    weights = (
        TensorRule(f"{_FUSED}.weight", f"{path}/kernel", TRANSPOSE, part, axis=0)
        for path, part in parts
    )
    return TensorMap(
        (
            *embedding_rules(_EMBEDDINGS),
            *dense_rules(_DENSE),
            *weights,
            *(TensorRule(f"{_FUSED}.bias", f"{path}/bias", part=part) for path, part in parts),
            *norm_rules(_NORMS),
            *output,
        )
    )
