"""Hugging Face's BERT checkpoints: the sizes in `config.json`, and the tensor maps."""

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
    """Read the sizes of a BERT checkpoint.

    Args:
      source: the config's file, for errors.
      values: the values of `config.json`.
      tensors: the names of the checkpoint's tensors.

    Returns:
      The config.

    Raises:
      InputError: sizes are missing, or the checkpoint needs something that is not supported.
    """
    reader = ConfigReader(source, values)
    sizes = encoder_sizes(reader, tensors)
    sizes["max_length"] = reader.integer("max_position_embeddings")
    reader.finish()
    return BertConfig(**sizes)


def encoder_sizes(reader: ConfigReader, tensors: Collection[str]) -> dict[str, Any]:
    """Read the sizes that have the same names in BERT and RoBERTa: all but the longest sequence."""
    reader.expect("hidden_act", "gelu")
    reader.expect("position_embedding_type", "absolute")
    reader.expect("is_decoder", False)
    reader.expect("add_cross_attention", False)
    return {
        "vocab_size": reader.integer("vocab_size"),
        "hidden_size": reader.integer("hidden_size"),
        "mlp_size": reader.integer("intermediate_size"),
        "num_layers": reader.integer("num_hidden_layers"),
        "num_heads": reader.integer("num_attention_heads"),
        "num_token_types": reader.integer("type_vocab_size", 2),
        "norm_epsilon": reader.number("layer_norm_eps", 1e-12),
        "has_pooler": any("pooler." in name for name in tensors),
    }


def bert_json(config: BertConfig) -> dict[str, Any]:
    """Return the values of `config.json` for a BERT encoder."""
    return {"architectures": ["BertModel"], **encoder_json(config)}


def encoder_json(config: BertConfig) -> dict[str, Any]:
    """Return the values of `config.json` that BERT and RoBERTa share."""
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
    """Return the tensor map of a BERT checkpoint."""
    return TensorMap(
        rules=encoder_rules(config),
        prefix="bert.",
        renamed=(("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")),
        ignored=(BUFFERS,),
    )


BUFFERS = r"embeddings\.(position_ids|token_type_ids)"
"""Buffers that old checkpoints have beside their weights."""


def encoder_rules(config: BertConfig) -> tuple[TensorRule, ...]:
    """Return the rules for the tensors that have the same names in BERT and RoBERTa."""
    dense = {**DENSE, **POOLER} if config.has_pooler else DENSE
    return (*embedding_rules(EMBEDDINGS), *dense_rules(dense), *norm_rules(NORMS))


def bert_heads(config: BertConfig) -> dict[str, TensorMap]:
    """Return the tensor maps of the heads that a BERT checkpoint may have, by kind of head."""
    return encoder_heads(
        dense="cls.predictions.transform.dense",
        norm="cls.predictions.transform.LayerNorm",
        bias="cls.predictions.bias",
        # Copies of tied weights, and the head for next-sentence prediction.
        ignored=(r"cls\.predictions\.decoder\.(weight|bias)", r"cls\.seq_relationship\..*"),
        classifier={**POOLER, **CLASSIFIER},
    )


def encoder_heads(
    *, dense: str, norm: str, bias: str, ignored: tuple[str, ...], classifier: Mapping[str, str]
) -> dict[str, TensorMap]:
    """Return the tensor maps of an encoder's heads, by kind of head.

    Args:
      dense: the name of the linear layer in the masked language model's head.
      norm: the name of the norm in that head.
      bias: the name of that head's bias, which has one element for each token.
      ignored: patterns of other tensors of that head, as in `TensorMap`.
      classifier: the paths of the linear layers in the head that classifies texts, by name. The
        head that classifies tokens is the same in all families.

    Returns:
      A tensor map for each kind of head.
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
