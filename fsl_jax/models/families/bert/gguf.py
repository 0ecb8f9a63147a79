"""BERT, DistilBERT and RoBERTa in GGUF files: the sizes in the metadata, and the tensor map.

The files have no pooler and no head for masked language modelling. The head that a model is loaded
with determines how the hidden states of a text are pooled.
"""

from collections.abc import Mapping
from typing import Any

from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.gguf.config_reader import GGUFConfigReader, multi_head_sizes
from fsl_jax.models.tensors.module_rules import dense_rules, embedding_rules, norm_rules
from fsl_jax.models.tensors.stored import StoredTensor
from fsl_jax.models.tensors.tensor_map import TensorMap

_TYPES, _POSITIONS = "token_types", "position_embd"
_EMBEDDINGS = {
    "token_embd": "embeddings/word",
    _POSITIONS: "embeddings/position",
    _TYPES: "embeddings/token_type",
}
_DENSE = {
    "blk.{layer}.attn_q": "layers/attention/query",
    "blk.{layer}.attn_k": "layers/attention/key",
    "blk.{layer}.attn_v": "layers/attention/value",
    "blk.{layer}.attn_output": "layers/attention/output",
    "blk.{layer}.ffn_up": "layers/mlp/up",
    "blk.{layer}.ffn_down": "layers/mlp/down",
}
_NORMS = {
    "token_embd_norm": "embeddings/norm",
    "blk.{layer}.attn_output_norm": "layers/attention/norm",
    "blk.{layer}.layer_output_norm": "layers/mlp/norm",
}


def bert_gguf_config(
    source: str, metadata: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> BertConfig:
    """Read the sizes of a BERT encoder in a GGUF file; see `llama_gguf_config`.

    In these files, DistilBERT has the same architecture but no token types. RoBERTa is a BERT with
    another tokenizer, and its file lacks the rows of the position embedding that it never uses.
    """
    reader = GGUFConfigReader(source, metadata, tensors)
    reader.expect("attention.causal", False)
    types = f"{_TYPES}.weight"
    sizes: dict[str, Any] = {
        **multi_head_sizes(reader),
        "mlp_size": reader.size("feed_forward_length"),
        "max_length": reader.rows(f"{_POSITIONS}.weight"),
        "norm_epsilon": reader.number("attention.layer_norm_epsilon", 1e-12),
        "num_token_types": reader.rows(types) if types in tensors else 0,
    }
    reader.finish(unused="rope.")
    return BertConfig(**sizes, family="bert" if sizes["num_token_types"] else "distilbert")


def bert_gguf_tensor_map(config: BertConfig) -> TensorMap:
    """Return the tensor map of a GGUF file with a BERT or DistilBERT."""
    embeddings = dict(_EMBEDDINGS)
    if not config.num_token_types:
        del embeddings[_TYPES]
    return TensorMap((*embedding_rules(embeddings), *dense_rules(_DENSE), *norm_rules(_NORMS)))
