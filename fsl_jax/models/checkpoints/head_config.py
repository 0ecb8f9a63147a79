"""The fields of `config.json` about heads: architecture, names of classes, ends of texts."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fsl_jax.errors import InputError, brief
from fsl_jax.models.blocks.head_kinds import FEATURES, MASKED_LM, SEQUENCE_CLASSIFICATION
from fsl_jax.models.blocks.pooling import TextEnd
from fsl_jax.models.families.registry import FAMILIES, Config
from fsl_jax.ranges import MAX_INT32

ENDINGS = {
    MASKED_LM: ("ForMaskedLM", "ForPreTraining"),
    "sequence_classification": ("ForSequenceClassification",),
    "token_classification": ("ForTokenClassification",),
}
"""The endings of architecture names by kind of head; the first one is used for writing."""

_PLAIN_ENDING = r"(Model|LMHeadModel|ForCausalLM|ForConditionalGeneration)$"


def json_of(config: Config, head: str | None = None, labels: Sequence[str] = ()) -> dict[str, Any]:
    """Return the values of `config.json` for a model with a head, or without one.

    Args:
      config: the model's config.
      head: the kind of head.
      labels: the names of a classifier's classes.

    Returns:
      The values.
    """
    values = FAMILIES[config.family].json(config)
    if head in ENDINGS:
        ending = ENDINGS[head][0]
    elif head in FEATURES:
        ending = "EncoderModel" if config.is_encoder_decoder else "Model"
    else:
        return values
    plain = re.sub(_PLAIN_ENDING, "", values["architectures"][0])
    stem = FAMILIES[config.family].architecture_stem or plain
    values["architectures"] = [stem + ending]
    if labels:
        values["id2label"] = {str(number): label for number, label in enumerate(labels)}
        values["label2id"] = {label: number for number, label in enumerate(labels)}
    return values


def label_names(source: str, values: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Return the names of a classifier's classes from `config.json`, or numbered names.

    Args:
      source: the config's file, for errors.
      values: the values of `config.json`.
      count: the number of classes.

    Returns:
      A name for each class.

    Raises:
      InputError: the classes in the file are not 0 to `count - 1`.
    """
    named = values.get("id2label")
    if named is None:
        return tuple(f"LABEL_{number}" for number in range(count))
    numbers = [str(number) for number in range(count)]
    if not isinstance(named, Mapping) or sorted(named) != sorted(numbers):
        raise InputError(
            f"{source}: id2label is {brief(named)}, and the head has {count} classes. Name the "
            f"classes 0 to {count - 1}, or leave id2label out."
        )
    if not all(isinstance(name, str | int | float) for name in named.values()):
        raise InputError(f"{source}: id2label is {brief(named)}; expected a text for each class.")
    return tuple(str(named[number]) for number in numbers)


def text_end(source: str, values: Mapping[str, Any], config: Config, head: str | None) -> TextEnd:
    """Return the tokens by which a head finds the last token of a text that it classifies.

    Args:
      source: the config's file, for errors.
      values: the values of `config.json`.
      config: the model's config.
      head: the kind of head.

    Returns:
      The tokens; none for other heads, and for encoders, which classify by the first token.

    Raises:
      InputError: the token in the file is no token id.
    """
    if head != SEQUENCE_CLASSIFICATION or not (config.is_decoder or config.is_encoder_decoder):
        return TextEnd()
    # Hugging Face's code finds the end of a text by the end token in an encoder-decoder, and by
    # padding in a decoder.
    if config.is_encoder_decoder:
        return TextEnd(end=_token_id(source, values, "eos_token_id", 1))
    padding = FAMILIES[config.family].padding_token
    return TextEnd(padding=_token_id(source, values, "pad_token_id", padding))


def _token_id(source: str, values: Mapping[str, Any], name: str, default: int | None) -> int | None:
    value = values.get(name, default)
    # -1 stands for no token.
    if value is not None and not (type(value) is int and -1 <= value <= MAX_INT32):
        raise InputError(f"{source}: {name} is {value!r}, expected a token id or null.")
    return value
