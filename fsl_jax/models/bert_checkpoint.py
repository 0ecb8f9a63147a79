"""BERT checkpoints of Hugging Face: sizes from `config.json`, and the table of names."""

from collections.abc import Collection, Mapping
from typing import Any

from fsl_jax.models.bert import BertConfig
from fsl_jax.models.fields import Fields
from fsl_jax.models.names import TRANSPOSE, Name, NameTable

_EMBEDDINGS = {
    "word_embeddings": "word",
    "position_embeddings": "position",
    "token_type_embeddings": "token_type",
}
_DENSE = {
    "attention.self.query": "attention/query",
    "attention.self.key": "attention/key",
    "attention.self.value": "attention/value",
    "attention.output.dense": "attention/output",
    "intermediate.dense": "mlp/up",
    "output.dense": "mlp/down",
}
_NORMS = {"attention.output.LayerNorm": "attention/norm", "output.LayerNorm": "mlp/norm"}


def bert_config(source: str, values: Mapping[str, Any], tensors: Collection[str]) -> BertConfig:
    """The sizes of a BERT checkpoint.

    Args:
      source: the config's file, for errors.
      values: what `config.json` says.
      tensors: the names of the checkpoint's tensors.

    Returns:
      The config.

    Raises:
      InputError: sizes are missing, or the checkpoint needs what is not supported.
    """
    fields = Fields(source, values)
    fields.expect("hidden_act", "gelu")
    fields.expect("position_embedding_type", "absolute")
    fields.expect("is_decoder", False)
    fields.expect("add_cross_attention", False)
    sizes: dict[str, Any] = {
        "vocab_size": fields.integer("vocab_size"),
        "hidden_size": fields.integer("hidden_size"),
        "mlp_size": fields.integer("intermediate_size"),
        "num_layers": fields.integer("num_hidden_layers"),
        "num_heads": fields.integer("num_attention_heads"),
        "max_length": fields.integer("max_position_embeddings"),
        "num_token_types": fields.integer("type_vocab_size", 2),
        "norm_epsilon": fields.number("layer_norm_eps", 1e-12),
    }
    fields.finish()
    return BertConfig(**sizes, has_pooler=any("pooler." in name for name in tensors))


def bert_names(config: BertConfig) -> NameTable:
    """The names of the tensors of a BERT checkpoint."""
    layer = "encoder.layer.{layer}."
    dense = {f"{layer}{name}": f"layers/{path}" for name, path in _DENSE.items()}
    if config.has_pooler:
        dense["pooler.dense"] = "pooler"
    norms = {f"{layer}{name}": f"layers/{path}" for name, path in _NORMS.items()}
    norms["embeddings.LayerNorm"] = "embeddings/norm"
    tables = {f"embeddings.{name}": f"embeddings/{path}" for name, path in _EMBEDDINGS.items()}
    return NameTable(
        names=(
            *(Name(f"{name}.weight", f"{path}/embedding") for name, path in tables.items()),
            *(Name(f"{name}.weight", f"{path}/kernel", TRANSPOSE) for name, path in dense.items()),
            *(Name(f"{name}.weight", f"{path}/scale") for name, path in norms.items()),
            *(Name(f"{name}.bias", f"{path}/bias") for name, path in {**dense, **norms}.items()),
        ),
        prefix="bert.",
        renamed=(("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")),
        # Buffers, then the heads of pretraining: the model here ends with its hidden states.
        ignored=(r"embeddings\.(position_ids|token_type_ids)", r"cls\..*"),
    )
