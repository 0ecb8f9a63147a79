"""The names and shapes of the tensors of a model with a head, and those that a checkpoint has."""

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any

from absl import logging

from fsl_jax.errors import InputError
from fsl_jax.models.blocks.head_kinds import CLASSIFIERS, ENCODER_HEADS, FEATURES
from fsl_jax.models.blocks.heads import head_shapes
from fsl_jax.models.checkpoints.head_config import ENDINGS
from fsl_jax.models.families.registry import FAMILIES, Config, parameter_shapes
from fsl_jax.models.tensors.stored import Shape, StoredTensor
from fsl_jax.models.tensors.tensor_map import TensorMap

CLASSES = "classifier/output/kernel"
"""The path of the leaf whose last axis is the classes of a head."""

_UNEMBEDDING = "unembedding/kernel"
# A question-answering head, which finds where an answer begins and ends in a text.
_ANSWERS = r"qa_outputs\.(weight|bias)"


def is_unused(head: str | None, path: str) -> bool:
    """Return True if the head does not need the model's leaf at `path`."""
    if path == _UNEMBEDDING:
        return head in CLASSIFIERS or head in FEATURES
    return head in ENCODER_HEADS and path.startswith("decoder/")


def leaf_shapes(config: Config, head: str, labels: int) -> dict[str, Shape]:
    """Return the shapes of the leaves that a head reads, by path."""
    return head_shapes(config, head, FAMILIES[config.family].classifier, labels)


def shapes_of(config: Config, head: str | None = None, labels: int = 0) -> dict[str, Shape]:
    """Return the shapes of all leaves of a model with a head, or without one, by path."""
    shapes = parameter_shapes(config) | (leaf_shapes(config, head, labels) if head else {})
    return {path: shape for path, shape in shapes.items() if not is_unused(head, path)}


def tensor_map_of(config: Config, head: str | None = None, stored: bool = True) -> TensorMap:
    """Return the tensor map of a checkpoint with a head, or without one.

    Args:
      config: the model's config.
      head: the kind of head; tensors of other heads are ignored.
      stored: True if the checkpoint has the head.

    Returns:
      The family's tensor map joined with the head's. With a head, the names of the model's tensors
      have the family's prefix.
    """
    model = FAMILIES[config.family].tensor_map(config)
    heads = FAMILIES[config.family].heads(config)
    stored_head = heads.get(head or "") if stored else None
    rules = [rule for rule in model.rules if not is_unused(head, rule.path)]
    unread = [rule for rule in model.rules if is_unused(head, rule.path)]
    if stored_head is not None:
        rules = [dataclasses.replace(rule, tensor=_prefixed(model, rule.tensor)) for rule in rules]
        paths = {rule.path for rule in rules}
        rules += [rule for rule in stored_head.rules if rule.path not in paths]
    unread += [rule for head_map in heads.values() for rule in head_map.rules]
    return dataclasses.replace(
        model,
        rules=tuple(rules),
        ignored=(
            *model.ignored,
            *(_pattern(model.canonical(rule.tensor)) for rule in unread),
            *(pattern for head_map in heads.values() for pattern in head_map.ignored),
            _ANSWERS,
        ),
    )


def tensors_to_read(
    config: Config,
    head: str | None,
    values: Mapping[str, Any],
    tensors: Mapping[str, StoredTensor],
) -> tuple[TensorMap, dict[str, Shape]]:
    """Choose the tensors of a checkpoint to read, and log the heads that are left out.

    Args:
      config: the model's config.
      head: the kind of head that the user asks for.
      values: the values of `config.json`.
      tensors: the checkpoint's tensors by name.

    Returns:
      The tensor map, which has the head if the checkpoint has it, and the shapes of all leaves in
      it by path.

    Raises:
      InputError: the checkpoint has this head in an unsupported form, or the head needs a decoder
        that the checkpoint lacks.
    """
    heads = FAMILIES[config.family].heads(config)
    stored = [kind for kind, head_map in heads.items() if _has(kind, head_map, values, tensors)]
    if others := [kind for kind in stored if kind != head]:
        logging.info("the checkpoint's head is left out: %s", " or ".join(others))
    answers = sorted(name for name in tensors if re.fullmatch(_ANSWERS, name))
    if answers:
        logging.warning(
            "the checkpoint's head answers questions, which no head does here. It is left out: %s",
            ", ".join(answers),
        )
    _require_decoder(config, head, tensors)
    if head not in stored:
        tensor_map = tensor_map_of(config, head, stored=False)
        return (_answering(config, tensor_map) if answers else tensor_map), shapes_of(config)
    labels = _stored_labels(heads[head], tensors)
    return tensor_map_of(config, head), shapes_of(config, head, labels)


def _pattern(tensor: str) -> str:
    """Return a regular expression for a tensor's name in any layer."""
    return re.escape(tensor).replace(re.escape("{layer}"), r"\d+")


def _prefixed(tensor_map: TensorMap, tensor: str) -> str:
    # The output embedding is beside the model, not inside it, so its name has no prefix.
    if tensor.startswith("lm_head."):
        return tensor
    return tensor_map.prefix + tensor_map.canonical(tensor)


def _answering(config: Config, tensor_map: TensorMap) -> TensorMap:
    """Return the tensor map for a checkpoint with a question-answering head."""
    renames = FAMILIES[config.family].answering_renames
    return dataclasses.replace(tensor_map, renamed=(*tensor_map.renamed, *renames))


def _require_decoder(config: Config, head: str | None, tensors: Collection[str]) -> None:
    alone = config.is_encoder_decoder and not any("decoder." in name for name in tensors)
    if alone and head not in ENCODER_HEADS:
        raise InputError(
            f"the checkpoint has the encoder of a {config.family} alone, and no decoder. Load it "
            "with head='mean_features' or head='token_classification', which read no decoder."
        )


def _has(
    head: str, tensor_map: TensorMap, values: Mapping[str, Any], tensors: Collection[str]
) -> bool:
    """Return True if a checkpoint has a head, by its architecture or else by its tensors."""
    if architectures := values.get("architectures"):
        return any(name.endswith(ENDINGS[head]) for name in architectures)
    names = {name for tensor in tensors for name in (tensor, tensor.partition(".")[2])}
    return all(rule.tensor in names for rule in tensor_map.rules)


def _stored_labels(tensor_map: TensorMap, tensors: Mapping[str, StoredTensor]) -> int:
    """Return the number of a head's classes; 1 if its tensor is missing, which reading reports."""
    names = [rule.tensor for rule in tensor_map.rules if rule.path == CLASSES]
    shapes = [tensors[name].shape for name in names if name in tensors]
    return next((shape[0] for shape in shapes if shape and 0 not in shape), 1)
