"""DistilBERT checkpoints of Hugging Face: sizes from and to `config.json`, and tables of names."""

from collections.abc import Collection, Mapping
from typing import Any

from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.bert.checkpoint import BUFFERS, CLASSIFIER, encoder_heads
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.tensors.module_rules import dense_rules, embedding_rules, norm_rules
from fsl_jax.models.tensors.tensor_map import TensorMap

_EMBEDDINGS = {
    "embeddings.word_embeddings": "embeddings/word",
    "embeddings.position_embeddings": "embeddings/position",
}
_DENSE = {
    "transformer.layer.{layer}.attention.q_lin": "layers/attention/query",
    "transformer.layer.{layer}.attention.k_lin": "layers/attention/key",
    "transformer.layer.{layer}.attention.v_lin": "layers/attention/value",
    "transformer.layer.{layer}.attention.out_lin": "layers/attention/output",
    "transformer.layer.{layer}.ffn.lin1": "layers/mlp/up",
    "transformer.layer.{layer}.ffn.lin2": "layers/mlp/down",
}
_NORMS = {
    "embeddings.LayerNorm": "embeddings/norm",
    "transformer.layer.{layer}.sa_layer_norm": "layers/attention/norm",
    "transformer.layer.{layer}.output_layer_norm": "layers/mlp/norm",
}


def distilbert_config(
    source: str, values: Mapping[str, Any], tensors: Collection[str]
) -> BertConfig:
    """The sizes of a DistilBERT checkpoint; as `bert_config`."""
    fields = ConfigReader(source, values)
    fields.expect("activation", "gelu")
    sizes: dict[str, Any] = {
        "vocab_size": fields.integer("vocab_size"),
        "hidden_size": fields.integer("dim"),
        "mlp_size": fields.integer("hidden_dim"),
        "num_layers": fields.integer("n_layers"),
        "num_heads": fields.integer("n_heads"),
        "max_length": fields.integer("max_position_embeddings"),
    }
    fields.finish()
    return BertConfig(**sizes, num_token_types=0, family="distilbert")


def distilbert_json(config: BertConfig) -> dict[str, Any]:
    """What `config.json` says of a DistilBERT encoder."""
    return {
        "architectures": ["DistilBertModel"],
        "model_type": config.family,
        "vocab_size": config.vocab_size,
        "dim": config.hidden_size,
        "hidden_dim": config.mlp_size,
        "n_layers": config.num_layers,
        "n_heads": config.num_heads,
        "max_position_embeddings": config.max_length,
        "activation": "gelu",
        # Whichever way the table of positions was made, the checkpoint holds it.
        "sinusoidal_pos_embds": False,
        "tie_word_embeddings": True,
    }


def distilbert_tensor_map(config: BertConfig) -> TensorMap:
    """The names of the tensors of a DistilBERT checkpoint."""
    return TensorMap(
        rules=(*embedding_rules(_EMBEDDINGS), *dense_rules(_DENSE), *norm_rules(_NORMS)),
        prefix="distilbert.",
        ignored=(BUFFERS,),
    )


def distilbert_heads(config: BertConfig) -> dict[str, TensorMap]:
    """The names of the heads that a DistilBERT checkpoint may have, by the kind of head."""
    return encoder_heads(
        dense="vocab_transform",
        norm="vocab_layer_norm",
        bias="vocab_projector.bias",
        ignored=(r"vocab_projector\.weight",),
        classifier={"pre_classifier": "classifier/dense", **CLASSIFIER},
    )
