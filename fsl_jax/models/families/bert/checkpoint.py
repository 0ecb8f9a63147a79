"""BERT checkpoints of Hugging Face: sizes from and to `config.json`, and the tables of names."""

from collections.abc import Collection, Mapping
from typing import Any

from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.tensors.module_rules import dense_rules, embedding_rules, norm_rules
from fsl_jax.models.tensors.tensor_map import TensorMap, TensorRule

EMBEDDINGS = {
    "embeddings.word_embeddings": "embeddings/word",
    "embeddings.position_embeddings": "embeddings/position",
    "embeddings.token_type_embeddings": "embeddings/token_type",
}
DENSE = {
    "encoder.layer.{layer}.attention.self.query": "layers/attention/query",
    "encoder.layer.{layer}.attention.self.key": "layers/attention/key",
    "encoder.layer.{layer}.attention.self.value": "layers/attention/value",
    "encoder.layer.{layer}.attention.output.dense": "layers/attention/output",
    "encoder.layer.{layer}.intermediate.dense": "layers/mlp/up",
    "encoder.layer.{layer}.output.dense": "layers/mlp/down",
}
NORMS = {
    "embeddings.LayerNorm": "embeddings/norm",
    "encoder.layer.{layer}.attention.output.LayerNorm": "layers/attention/norm",
    "encoder.layer.{layer}.output.LayerNorm": "layers/mlp/norm",
}
POOLER = {"pooler.dense": "pooler"}
CLASSIFIER = {"classifier": "classifier/output"}


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
    fields = ConfigReader(source, values)
    sizes = encoder_sizes(fields, tensors)
    sizes["max_length"] = fields.integer("max_position_embeddings")
    fields.finish()
    return BertConfig(**sizes)


def encoder_sizes(fields: ConfigReader, tensors: Collection[str]) -> dict[str, Any]:
    """What the configs of BERT and RoBERTa say in the same words: all but the longest sequence."""
    fields.expect("hidden_act", "gelu")
    fields.expect("position_embedding_type", "absolute")
    fields.expect("is_decoder", False)
    fields.expect("add_cross_attention", False)
    return {
        "vocab_size": fields.integer("vocab_size"),
        "hidden_size": fields.integer("hidden_size"),
        "mlp_size": fields.integer("intermediate_size"),
        "num_layers": fields.integer("num_hidden_layers"),
        "num_heads": fields.integer("num_attention_heads"),
        "num_token_types": fields.integer("type_vocab_size", 2),
        "norm_epsilon": fields.number("layer_norm_eps", 1e-12),
        "has_pooler": any("pooler." in name for name in tensors),
    }


def bert_json(config: BertConfig) -> dict[str, Any]:
    """What `config.json` says of a BERT encoder."""
    return {"architectures": ["BertModel"], **encoder_json(config)}


def encoder_json(config: BertConfig) -> dict[str, Any]:
    """The fields that the configs of BERT and RoBERTa have in common."""
    return {
        "model_type": config.family,
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.mlp_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "max_position_embeddings": config.first_position + config.max_length,
        "type_vocab_size": config.num_token_types,
        "layer_norm_eps": config.norm_epsilon,
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
        "tie_word_embeddings": True,
    }


def bert_tensor_map(config: BertConfig) -> TensorMap:
    """The names of the tensors of a BERT checkpoint."""
    return TensorMap(
        rules=encoder_rules(config),
        prefix="bert.",
        renamed=(("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")),
        ignored=(BUFFERS,),
    )


BUFFERS = r"embeddings\.(position_ids|token_type_ids)"
"""What old checkpoints hold beside their weights."""


def encoder_rules(config: BertConfig) -> tuple[TensorRule, ...]:
    """The names that the checkpoints of BERT and RoBERTa have in common."""
    dense = {**DENSE, **POOLER} if config.has_pooler else DENSE
    return (*embedding_rules(EMBEDDINGS), *dense_rules(dense), *norm_rules(NORMS))


def bert_heads(config: BertConfig) -> dict[str, TensorMap]:
    """The names of the heads that a BERT checkpoint may have, by the kind of head."""
    return encoder_heads(
        dense="cls.predictions.transform.dense",
        norm="cls.predictions.transform.LayerNorm",
        bias="cls.predictions.bias",
        # Copies of what is tied, and the head that tells whether sentences follow each other.
        ignored=(r"cls\.predictions\.decoder\.(weight|bias)", r"cls\.seq_relationship\..*"),
        classifier={**POOLER, **CLASSIFIER},
    )


def encoder_heads(
    *, dense: str, norm: str, bias: str, ignored: tuple[str, ...], classifier: Mapping[str, str]
) -> dict[str, TensorMap]:
    """The names of an encoder's heads, by the kind of head.

    Args:
      dense: the module of the linear map in the masked language model's head.
      norm: the module of the norm in it.
      bias: the tensor of its bias, one number a word.
      ignored: what its tensors are otherwise, as in `TensorMap`.
      classifier: the linear maps of the head for texts; that for tokens is the same in all.

    Returns:
      A table for each kind of head.
    """
    masked_lm = (
        *dense_rules({dense: "lm_head/dense"}),
        *norm_rules({norm: "lm_head/norm"}),
        TensorRule(bias, "lm_head/bias"),
    )
    return {
        "masked_lm": TensorMap(masked_lm, ignored=ignored),
        "sequence_classification": TensorMap(dense_rules(classifier)),
        "token_classification": TensorMap(dense_rules(CLASSIFIER)),
    }
