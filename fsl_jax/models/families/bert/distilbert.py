"""Hugging Face's DistilBERT checkpoints: the sizes in `config.json`, and the tensor maps."""

from collections.abc import Collection, Mapping
from typing import Any

from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.activations import GELU
from fsl_jax.models.families.bert.checkpoint import BUFFERS, CLASSIFIER, encoder_heads
from fsl_jax.models.families.bert.masked_lm_names import MaskedLMNames
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.tensors.module_rules import dense_rules, embedding_rules, norm_rules
from fsl_jax.models.tensors.tensor_map import TensorMap

MASKED_LM = MaskedLMNames(
    dense="vocab_transform",
    norm="vocab_layer_norm",
    output="vocab_projector",
    bias="vocab_projector.bias",
)
# transformers takes the names of other families too.
_ALIASES = {"dim": "hidden_size", "n_heads": "num_attention_heads", "n_layers": "num_hidden_layers"}
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
    """Read the sizes of a DistilBERT checkpoint; see `bert_config`."""
    reader = ConfigReader(source, values, tensors, _ALIASES)
    reader.expect("activation", *GELU)
    sizes: dict[str, Any] = {
        "vocab_size": reader.size("vocab_size"),
        "hidden_size": reader.size("dim"),
        "mlp_size": reader.size("hidden_dim"),
        "num_layers": reader.layers("n_layers"),
        "num_heads": reader.size("n_heads"),
        "max_length": reader.size("max_position_embeddings"),
        "tied": MASKED_LM.is_tied(reader, tensors),
    }
    reader.finish()
    return BertConfig(**sizes, num_token_types=0, family="distilbert")


def distilbert_json(config: BertConfig) -> dict[str, Any]:
    """Return the values of `config.json` for a DistilBERT encoder."""
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
        # The checkpoint has the position embedding, sinusoidal or not.
        "sinusoidal_pos_embds": False,
        "tie_word_embeddings": config.tied,
    }


def distilbert_tensor_map(config: BertConfig) -> TensorMap:
    """Return the tensor map of a DistilBERT checkpoint."""
    return TensorMap(
        rules=(*embedding_rules(_EMBEDDINGS), *dense_rules(_DENSE), *norm_rules(_NORMS)),
        prefix="distilbert.",
        ignored=(BUFFERS,),
    )


def distilbert_heads(config: BertConfig) -> dict[str, TensorMap]:
    """Return the tensor maps of the heads that a DistilBERT checkpoint may have, by kind."""
    classifier = {"pre_classifier": "classifier/dense", **CLASSIFIER}
    return encoder_heads(MASKED_LM.tensor_map(config.tied), classifier)
