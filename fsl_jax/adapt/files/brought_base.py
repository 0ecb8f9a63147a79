"""Give a base model the kind of head that an adapter from PEFT brings."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from etils import epath

from fsl_jax.adapt.files.adapter_contents import read_files
from fsl_jax.adapt.files.adapter_layout import CONFIG, RECORD, TENSORS
from fsl_jax.adapt.files.adapter_record import read_config
from fsl_jax.adapt.peft.brought_head import (
    QUESTION_ANSWERING,
    TASK_HEADS,
    brought_head,
    rules_of_head,
)
from fsl_jax.adapt.peft.modules import inner_name
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import problems_error
from fsl_jax.files import is_plain_file
from fsl_jax.json_reader import parse_json, read_json
from fsl_jax.models.blocks.head_kinds import LANGUAGE_MODELS
from fsl_jax.models.checkpoints.head_config import label_names
from fsl_jax.models.checkpoints.head_tensors import is_unused, leaf_shapes
from fsl_jax.models.checkpoints.heads import require_special_tokens
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.tensor_files import decode_tensors

_MODEL_CONFIG = "config.json"
_ANSWERS = ("start", "end")


def with_brought_head(directory: epath.PathLike, pretrained: Pretrained) -> Pretrained:
    """Return a base model that has a head of the kind that an adapter brings.

    `load_adapter` reads the head of an adapter that PEFT made for classification only onto a base
    that has such a head. Its names of classes come from `id2label` of a `config.json` beside the
    adapter, or else of the base; without either they are numbered.

    Args:
      directory: the adapter.
      pretrained: the base model.

    Returns:
      The base with a head of zeros, which the adapter's replaces; or the base itself if the adapter
      brings no head, or if the base was loaded with a head of its own.

    Raises:
      InputError: the adapter's files are missing or damaged, or the head needs leaves that neither
        the base nor the adapter has.
    """
    directory = epath.Path(directory)
    has_head = pretrained.head is not None and pretrained.head not in LANGUAGE_MODELS
    if has_head or not directory.is_dir() or (directory / RECORD).exists():
        return pretrained
    values, tensors = _files(directory, pretrained)
    head = brought_head(values, tensors, pretrained.config)
    if head is None:
        return pretrained
    kind, classes = head
    require_special_tokens(pretrained.name, pretrained.config, kind, pretrained.tokenizer)
    leaves = {
        path: leaf for path, leaf in flatten(pretrained.params).items() if not is_unused(kind, path)
    }
    shapes = leaf_shapes(pretrained.config, kind, classes)
    _require_whole(directory, pretrained, kind, values, tensors, shapes.keys() - leaves.keys())
    zeros = {path: jnp.zeros(shape) for path, shape in shapes.items() if path not in leaves}
    labels = _labels(directory, pretrained, values, classes)
    params = unflatten(leaves | zeros)
    return dataclasses.replace(pretrained, head=kind, labels=labels, params=params)


def head_for(directory: epath.PathLike) -> str | None:
    """Return the kind of head that an adapter from PEFT is for.

    Args:
      directory: the adapter.

    Returns:
      The kind; None for an adapter of this project, or one for a task without a head.
    """
    directory = epath.Path(directory)
    if (directory / RECORD).exists() or not (directory / CONFIG).exists():
        return None
    return TASK_HEADS.get(str(read_config(directory / CONFIG).get("task_type")))


def brings_other_classes(directory: epath.PathLike, pretrained: Pretrained) -> bool:
    """Return True if an adapter's head has another number of classes than that of its base."""
    directory = epath.Path(directory)
    values, tensors = _files(directory, pretrained)
    head = brought_head(values, tensors, pretrained.config)
    return head is not None and head[1] != len(pretrained.labels)


def _files(
    directory: epath.Path, pretrained: Pretrained
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the values of the config of an adapter from PEFT, and its tensors."""
    contents = read_files(directory, None, pretrained)
    values = parse_json(contents[CONFIG], directory / CONFIG)
    return values, decode_tensors(contents[TENSORS], directory / TENSORS)


def _require_whole(
    directory: epath.Path,
    pretrained: Pretrained,
    head: str,
    values: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    absent: set[str],
) -> None:
    """Raise an error for leaves of a head that neither the base nor the adapter has."""
    names = {inner_name(name) for name in tensors}
    rules = rules_of_head(values, head, pretrained.config)
    table = FAMILIES[pretrained.config.family].tensor_map(pretrained.config)
    lost = [
        rule.tensor
        for rule in rules
        if rule.path in absent and not {rule.tensor, table.prefix + rule.tensor} & names
    ]
    if lost:
        raise problems_error(
            f"{directory}: its head {head} needs tensors that neither it nor {pretrained.name} "
            "has. Load the checkpoint that it was trained on, with this head:",
            lost,
        )


def _labels(
    directory: epath.Path, pretrained: Pretrained, values: Mapping[str, Any], classes: int
) -> tuple[str, ...]:
    if values.get("task_type") == QUESTION_ANSWERING and classes == len(_ANSWERS):
        return _ANSWERS
    for path in (
        directory / _MODEL_CONFIG,
        epath.Path(Path(pretrained.name).expanduser()) / _MODEL_CONFIG,
    ):
        if is_plain_file(path):
            named = read_json(path)
            if isinstance(named.get("id2label"), dict) and len(named["id2label"]) == classes:
                return label_names(str(path), named, classes)
    return label_names(str(directory), {}, classes)
