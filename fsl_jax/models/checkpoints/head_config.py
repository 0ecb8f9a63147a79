"""The fields of `config.json` about heads: the architecture, and the names of classes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fsl_jax.errors import InputError
from fsl_jax.models.blocks.head_kinds import FEATURES, MASKED_LM
from fsl_jax.models.families.registry import FAMILIES, Config

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
    if not isinstance(named, Mapping) or sorted(map(str, named)) != sorted(numbers):
        raise InputError(
            f"{source}: id2label is {named!r}, and the head has {count} classes. Name the classes "
            f"0 to {count - 1}, or leave id2label out."
        )
    names = {str(number): str(name) for number, name in named.items()}
    return tuple(names[number] for number in numbers)
