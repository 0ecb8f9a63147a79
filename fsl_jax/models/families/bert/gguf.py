"""BERT, DistilBERT and RoBERTa in GGUF files: sizes from the metadata, and the table of names.

The files hold no pooler, and no masked language model. How an embedding of a text is pooled is left
to the head that a model is loaded with.
"""

from collections.abc import Mapping
from typing import Any

from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.gguf.config_reader import GGUFConfigReader
from fsl_jax.models.tensors.module_rules import dense_rules, embedding_rules, norm_rules
from fsl_jax.models.tensors.tensor_map import StoredTensor, TensorMap

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
    """The sizes of a BERT encoder in a GGUF file; as `llama_gguf_config`.

    DistilBERT has the same architecture there, without types of tokens, and RoBERTa is a BERT with
    another tokenizer: the rows of the position embedding that it leaves unused are not in the file.
    """
    fields = GGUFConfigReader(source, metadata)
    fields.expect("attention.causal", False)
    types = f"{_TYPES}.weight"
    sizes: dict[str, Any] = {
        "vocab_size": fields.rows(tensors),
        "hidden_size": fields.integer("embedding_length"),
        "mlp_size": fields.integer("feed_forward_length"),
        "num_layers": fields.integer("block_count"),
        "num_heads": fields.integer("attention.head_count"),
        "max_length": fields.rows(tensors, f"{_POSITIONS}.weight"),
        "norm_epsilon": fields.number("attention.layer_norm_epsilon", 1e-12),
        "num_token_types": fields.rows(tensors, types) if types in tensors else 0,
    }
    fields.finish()
    return BertConfig(**sizes, family="bert" if sizes["num_token_types"] else "distilbert")


def bert_gguf_tensor_map(config: BertConfig) -> TensorMap:
    """The names of the tensors of a GGUF file of BERT or DistilBERT."""
    embeddings = dict(_EMBEDDINGS)
    if not config.num_token_types:
        del embeddings[_TYPES]
    return TensorMap((*embedding_rules(embeddings), *dense_rules(_DENSE), *norm_rules(_NORMS)))
