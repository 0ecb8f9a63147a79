"""Hugging Face's RoBERTa and XLM-RoBERTa checkpoints: sizes in `config.json`, and tensor maps."""

from collections.abc import Collection, Mapping
from typing import Any

from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.bert.checkpoint import (
    BUFFERS,
    encoder_heads,
    encoder_json,
    encoder_rules,
    encoder_sizes,
)
from fsl_jax.models.families.bert.masked_lm_names import MaskedLMNames
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.tensors.tensor_map import TensorMap

ROBERTA_TOKENS = {
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
}
"""The special tokens of RoBERTa and XLM-RoBERTa, which early checkpoints do not name."""

MASKED_LM = MaskedLMNames(
    dense="lm_head.dense",
    norm="lm_head.layer_norm",
    output="lm_head.decoder",
    bias="lm_head.bias",
)
_ARCHITECTURES = {"roberta": "RobertaModel", "xlm-roberta": "XLMRobertaModel"}


def roberta_config(source: str, values: Mapping[str, Any], tensors: Collection[str]) -> BertConfig:
    """Read the sizes of a RoBERTa or XLM-RoBERTa checkpoint; see `bert_config`."""
    reader = ConfigReader(source, values, tensors)
    sizes = encoder_sizes(reader, tensors, MASKED_LM)
    # The first position comes right after the padding token's id.
    first = reader.count("pad_token_id", 1) + 1
    rows = reader.size("max_position_embeddings")
    if rows <= first:
        reader.problem("max_position_embeddings", rows, f"more than {first}, the pad_token_id + 1")
    reader.finish()
    family = values.get("model_type", "roberta")
    return BertConfig(**sizes, max_length=rows - first, first_position=first, family=family)


def roberta_json(config: BertConfig) -> dict[str, Any]:
    """Return the values of `config.json` for a RoBERTa or XLM-RoBERTa encoder."""
    return {
        "architectures": [_ARCHITECTURES[config.family]],
        **encoder_json(config),
        "pad_token_id": config.first_position - 1,
    }


def roberta_tensor_map(config: BertConfig) -> TensorMap:
    """Return the tensor map of a RoBERTa or XLM-RoBERTa checkpoint."""
    return TensorMap(encoder_rules(config), prefix="roberta.", ignored=(BUFFERS,))


def roberta_heads(config: BertConfig) -> dict[str, TensorMap]:
    """Return the tensor maps of the heads that a RoBERTa checkpoint may have, by kind of head."""
    classifier = {
        "classifier.dense": "classifier/dense",
        "classifier.out_proj": "classifier/output",
    }
    return encoder_heads(MASKED_LM.tensor_map(config.tied), classifier)
