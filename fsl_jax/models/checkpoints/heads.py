"""Heads in checkpoints: which one a checkpoint has, and under which names."""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from absl import logging

from fsl_jax.errors import InputError, unknown_name
from fsl_jax.models.blocks.heads import (
    CLASSIFIERS,
    ENCODER_HEADS,
    FEATURES,
    LANGUAGE_MODELS,
    MASKED_LM,
    head_shapes,
    initial_head,
)
from fsl_jax.models.blocks.layers import PRNGKey
from fsl_jax.models.families.registry import FAMILIES, Config, parameter_shapes
from fsl_jax.models.tensors.tensor_map import Shape, StoredLeaf, StoredTensor, TensorMap

CLASSES = "classifier/output/kernel"
_UNEMBEDDING = "unembedding/kernel"
_ANSWERS = r"qa_outputs\.(weight|bias)"  # where in a text an answer begins and ends
_ENDINGS = {
    MASKED_LM: ("ForMaskedLM", "ForPreTraining"),
    "sequence_classification": ("ForSequenceClassification",),
    "token_classification": ("ForTokenClassification",),
}
"""How the names of architectures with a head end; the first is how one is written."""


def known_heads(config: Config) -> tuple[str, ...]:
    """The kinds of head that a model with this config can have."""
    own = tuple(FAMILIES[config.family].heads(config))
    if config.is_encoder_decoder:
        return ("seq2seq_lm", *own, "mean_features")
    return (*(("causal_lm",) if config.is_decoder else ()), *own, *FEATURES)


def require_head(name: str, config: Config, head: str, num_labels: int | None) -> None:
    """Raises an error for a head that a model cannot have."""
    kinds = (MASKED_LM, *LANGUAGE_MODELS, *CLASSIFIERS, *FEATURES)
    if head not in kinds:
        raise unknown_name("head", head, kinds)
    if head not in known_heads(config):
        raise InputError(
            f"{name}: a model of the family {config.family} has no head {head}. It can have: "
            f"{', '.join(known_heads(config))}."
        )
    if num_labels is not None and head not in CLASSIFIERS:
        raise InputError(
            f"num_labels={num_labels} was given for the head {head}, which has no classes. Leave "
            f"it out, or choose a head that has: {' or '.join(CLASSIFIERS)}."
        )
    if num_labels is not None and num_labels < 1:
        raise InputError(f"num_labels={num_labels}: expected 1 or more classes.")


def require_special_tokens(name: str, config: Config, head: str | None, tokenizer: Any) -> None:
    """Raises an error for a tokenizer without the special tokens that a head needs."""
    classifies = head == "sequence_classification"
    last = config.is_decoder or config.is_encoder_decoder
    needed = {
        "mask_token": head == MASKED_LM,
        "cls_token": head == "cls_features" or (classifies and not last),
        # At which the decoder has read the whole text again.
        "eos_token": classifies and config.is_encoder_decoder,
    }
    for token, is_needed in needed.items():
        if is_needed and getattr(tokenizer, token, None) is None:
            raise InputError(
                f"{name}: the head {head} needs a tokenizer with a {token}, and this one has none. "
                f"Name it in tokenizer_config.json, or choose another head."
            )


def tensor_map_of(config: Config, head: str | None = None, there: bool = True) -> TensorMap:
    """The names of a checkpoint with a head, or without one.

    Args:
      config: of the model.
      head: the kind of head; what a checkpoint holds of other heads is left out.
      there: whether the checkpoint has it.

    Returns:
      The family's table with the head's names. Names of the model itself then have their prefix.
    """
    table, heads = FAMILIES[config.family].tensor_map(config), FAMILIES[config.family].heads(config)
    own = heads.get(head or "") if there else None
    rules = [entry for entry in table.rules if not _unused(head, entry.path)]
    unused = [entry for entry in table.rules if _unused(head, entry.path)]
    if own is not None:
        rules = [dataclasses.replace(each, tensor=_prefixed(table, each.tensor)) for each in rules]
        known = {entry.path for entry in rules}
        rules += [entry for entry in own.rules if entry.path not in known]
    others = [entry for each in heads.values() for entry in each.rules] + unused
    return dataclasses.replace(
        table,
        rules=tuple(rules),
        ignored=(
            *table.ignored,
            *(_pattern(table.canonical(entry.tensor)) for entry in others),
            *(pattern for each in heads.values() for pattern in each.ignored),
            _ANSWERS,
        ),
    )


def _pattern(tensor: str) -> str:
    """A regular expression of a tensor's name in any layer."""
    return re.escape(tensor).replace(re.escape("{layer}"), r"\d+")


def _prefixed(table: TensorMap, tensor: str) -> str:
    # What stands beside the model, its output embedding, has no prefix.
    plain = table.canonical(tensor)
    return tensor if tensor.startswith("lm_head.") else table.prefix + plain


def _unused(head: str | None, path: str) -> bool:
    """Whether a leaf is not needed for what the head gives."""
    if path == _UNEMBEDDING:
        return head in CLASSIFIERS or head in FEATURES
    return head in ENCODER_HEADS and path.startswith("decoder/")


def shapes_of(config: Config, head: str | None = None, labels: int = 0) -> dict[str, Shape]:
    """The shapes of the leaves of a model with a head, by path."""
    shapes = parameter_shapes(config) | (head_shapes(config, head, labels) if head else {})
    return {path: shape for path, shape in shapes.items() if not _unused(head, path)}


def json_of(config: Config, head: str | None = None, labels: Sequence[str] = ()) -> dict[str, Any]:
    """What `config.json` says of a model with a head, or without one.

    Args:
      config: of the model.
      head: the kind of head.
      labels: what the classes of a classifier are called.

    Returns:
      The values.
    """
    values = FAMILIES[config.family].json(config)
    if head in _ENDINGS:
        ending = _ENDINGS[head][0]
    elif head in FEATURES:
        ending = "EncoderModel" if config.is_encoder_decoder else "Model"
    else:
        return values
    values["architectures"] = [_stem(values) + ending]
    if labels:
        values["id2label"] = {str(number): label for number, label in enumerate(labels)}
        values["label2id"] = {label: number for number, label in enumerate(labels)}
    return values


def _stem(values: Mapping[str, Any]) -> str:
    """What the names of a family's architectures begin with."""
    ending = r"(Model|LMHeadModel|ForCausalLM|ForConditionalGeneration)$"
    stem = re.sub(ending, "", values["architectures"][0])
    # Without a language model's head, the name of the family alone is that of the multimodal one.
    return stem + "Text" if values["model_type"] == "gemma3_text" else stem


def label_names(source: str, values: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """What the classes of a checkpoint's head are called: by their numbers unless it says so.

    Args:
      source: the config's file, for errors.
      values: what `config.json` says.
      count: how many classes the head has.

    Returns:
      A name for each class.

    Raises:
      InputError: as many classes are not named.
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
    return tuple(str({str(number): name for number, name in named.items()}[n]) for n in numbers)


def head_tables(
    config: Config,
    head: str | None,
    values: Mapping[str, Any],
    tensors: Mapping[str, StoredTensor],
) -> tuple[TensorMap, dict[str, Shape]]:
    """The names and shapes of what is read of a checkpoint.

    Args:
      config: of the model.
      head: the kind of head that is asked for.
      values: what `config.json` says.
      tensors: of the checkpoint.

    Returns:
      The table of names, with the head's where the checkpoint has it, and the shapes of all leaves
      that it names, by path.

    Raises:
      InputError: the head is one of its kind that the family has in another form only, or needs
        a decoder that the checkpoint lacks.
    """
    own = FAMILIES[config.family].heads(config)
    there = [kind for kind, table in own.items() if _is_there(kind, table, values, tensors)]
    if others := [kind for kind in there if kind != head]:
        logging.info("the checkpoint's head is left out: %s", " or ".join(others))
    if answers := [name for name in tensors if re.fullmatch(_ANSWERS, name)]:
        logging.warning(
            "the checkpoint's head answers questions, which no head does here. It is left out: %s",
            ", ".join(sorted(answers)),
        )
    _require_decoder(config, head, tensors)
    if head not in there:
        table = tensor_map_of(config, head, there=False)
        return (_answering(table) if answers else table), shapes_of(config)
    if head == MASKED_LM and values.get("tie_word_embeddings") is False:
        raise InputError(
            "config.json: tie_word_embeddings is false, and the head masked_lm shares the word "
            "embedding here. Load the checkpoint without a head, or choose one that is tied."
        )
    return tensor_map_of(config, head), shapes_of(config, head, _stored_labels(own[head], tensors))


def _answering(table: TensorMap) -> TensorMap:
    """The names of a model that answers questions, which in decoders like Llama differ."""
    other = (("transformer.", table.prefix),) if table.prefix == "model." else ()
    return dataclasses.replace(table, renamed=(*table.renamed, *other))


def _require_decoder(config: Config, head: str | None, tensors: Collection[str]) -> None:
    alone = config.is_encoder_decoder and not any("decoder." in name for name in tensors)
    if alone and head not in ENCODER_HEADS:
        raise InputError(
            f"the checkpoint has the encoder of a {config.family} alone, and no decoder. Load it "
            "with head='mean_features' or head='token_classification', which read no decoder."
        )


def _is_there(
    head: str, table: TensorMap, values: Mapping[str, Any], tensors: Collection[str]
) -> bool:
    """Whether a checkpoint has a head: its architecture says so, or else its tensors."""
    if architectures := values.get("architectures"):
        return any(str(name).endswith(_ENDINGS[head]) for name in architectures)
    given = {name for tensor in tensors for name in (tensor, tensor.partition(".")[2])}
    return all(entry.tensor in given for entry in table.rules)


def _stored_labels(table: TensorMap, tensors: Mapping[str, StoredTensor]) -> int:
    """How many classes a head has; where its tensor is missing, which is told later, 1."""
    names = [entry.tensor for entry in table.rules if entry.path == CLASSES]
    return next((tensors[name].shape[0] for name in names if name in tensors), 1)


def with_head(
    source: str,
    config: Config,
    head: str,
    num_labels: int | None,
    key: PRNGKey,
    leaves: Mapping[str, StoredLeaf],
) -> dict[str, StoredLeaf]:
    """Adds the leaves of a head that a checkpoint lacks, with a warning that names them.

    Args:
      source: the model's name, for errors.
      config: of the model.
      head: the kind of head.
      num_labels: classes of a classifier; those of the checkpoint's unless they are given.
      key: a threefry key, from which the leaves are drawn.
      leaves: of the checkpoint, with the head if it has it.

    Returns:
      The leaves of the model with the head.

    Raises:
      InputError: the checkpoint's classes are not as many as were asked for, or nobody says how
        many there are.
    """
    stored = leaves[CLASSES].shape[-1] if CLASSES in leaves else None
    if None not in (stored, num_labels) and stored != num_labels:
        raise InputError(
            f"{source}: its head {head} has {stored} classes, and num_labels={num_labels} was "
            "asked for. Leave num_labels out, or load it without a head and train one of your own."
        )
    labels = stored or num_labels or 0
    if not labels and head in CLASSIFIERS:
        raise InputError(
            f"{source}: the checkpoint has no head {head}, so one is drawn anew. Say how many "
            "classes it is to have, with num_labels."
        )
    kept = {path: leaf for path, leaf in leaves.items() if not _unused(head, path)}
    absent = sorted(head_shapes(config, head, labels).keys() - kept.keys())
    if not absent:
        return kept
    logging.warning(
        "%s: the checkpoint has no head %s. These leaves are drawn anew, and know nothing until "
        "they are trained: %s",
        source,
        head,
        ", ".join(absent),
    )
    drawn = initial_head(config, head, labels, key, absent)
    return kept | {path: _stored(array) for path, array in drawn.items()}


def _stored(array: Any) -> StoredLeaf:
    return StoredLeaf(array.shape, lambda _: array)
