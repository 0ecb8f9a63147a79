"""Hugging Face's BERT checkpoints: the sizes in `config.json`, and the tensor maps."""

from collections.abc import Collection, Mapping
from typing import Any

from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.activations import GELU
from fsl_jax.models.families.bert.masked_lm_names import MaskedLMNames
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
MASKED_LM = MaskedLMNames(
    dense="cls.predictions.transform.dense",
    norm="cls.predictions.transform.LayerNorm",
    output="cls.predictions.decoder",
    bias="cls.predictions.bias",
)


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
    reader = ConfigReader(source, values, tensors)
    sizes = encoder_sizes(reader, tensors, MASKED_LM)
    sizes["max_length"] = reader.size("max_position_embeddings")
    reader.finish()
    return BertConfig(**sizes)


def encoder_sizes(
    reader: ConfigReader, tensors: Collection[str], masked_lm: MaskedLMNames
) -> dict[str, Any]:
    """Read the sizes that have the same names in BERT and RoBERTa: all but the longest sequence.

    Args:
      reader: a reader of `config.json`, which collects the problems.
      tensors: the names of the checkpoint's tensors.
      masked_lm: the names of the tensors of the head for masked language modelling.

    Returns:
      Arguments of `BertConfig`.
    """
    reader.expect("hidden_act", *GELU)
    reader.expect("position_embedding_type", "absolute")
    reader.expect("is_decoder", False)
    reader.expect("add_cross_attention", False)
    return {
        "vocab_size": reader.size("vocab_size"),
        "hidden_size": reader.size("hidden_size"),
        "mlp_size": reader.size("intermediate_size"),
        "num_layers": reader.layers("num_hidden_layers"),
        "num_heads": reader.size("num_attention_heads"),
        "num_token_types": reader.size("type_vocab_size", 2),
        "norm_epsilon": reader.number("layer_norm_eps", 1e-12),
        "has_pooler": any("pooler." in name for name in tensors),
        "tied": masked_lm.is_tied(reader, tensors),
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
        "tie_word_embeddings": config.tied,
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
    # The head for next-sentence prediction is ignored.
    masked_lm = MASKED_LM.tensor_map(config.tied, ignored=(r"cls\.seq_relationship\..*",))
    return encoder_heads(masked_lm, {**POOLER, **CLASSIFIER})


def encoder_heads(masked_lm: TensorMap, classifier: Mapping[str, str]) -> dict[str, TensorMap]:
    """Return the tensor maps of an encoder's heads, by kind of head.

    Args:
      masked_lm: the tensor map of the head for masked language modelling.
      classifier: the paths of the linear layers in the head that classifies texts, by name. The
        head that classifies tokens is the same in all families.

    Returns:
      A tensor map for each kind of head.
    """
    return {
        "masked_lm": masked_lm,
        "sequence_classification": TensorMap(dense_rules(classifier)),
        "token_classification": TensorMap(dense_rules(CLASSIFIER)),
    }
