"""The head that an adapter from PEFT brings: which kind it is, and how many classes it has."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fsl_jax.adapt.peft.adapter_reader import AdapterReader
from fsl_jax.adapt.peft.fused import all_linear_layers
from fsl_jax.adapt.peft.modules import PREFIX, PeftModule, inner_name
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.blocks.head_kinds import (
    CLASSIFIERS,
    SEQUENCE_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
)
from fsl_jax.models.checkpoints.head_tensors import CLASSES
from fsl_jax.models.families.registry import FAMILIES, Config
from fsl_jax.models.tensors.module_rules import dense_rules
from fsl_jax.models.tensors.tensor_map import TensorRule

QUESTION_ANSWERING = "QUESTION_ANS"
"""PEFT's name for the task of finding where an answer begins and ends in a text."""

TASK_HEADS = {
    "SEQ_CLS": SEQUENCE_CLASSIFICATION,
    "TOKEN_CLS": TOKEN_CLASSIFICATION,
    # For each token the logits of beginning and ending the answer are those of two classes.
    QUESTION_ANSWERING: TOKEN_CLASSIFICATION,
}
"""The kind of head for each of PEFT's task types that has one."""

_ANSWERS = dense_rules({"qa_outputs": "classifier/output"})


def rules_of_head(values: Mapping[str, Any], head: str, config: Config) -> tuple[TensorRule, ...]:
    """Return the tensor rules of a head in an adapter's file.

    Args:
      values: the values of `adapter_config.json`.
      head: the kind of head.
      config: the config of the base model.

    Returns:
      The rules; none if PEFT has no such head for the family and the task.
    """
    if values.get("task_type") == QUESTION_ANSWERING:
        # In an encoder-decoder the decoder's hidden states answer, which no head reads here.
        return () if config.is_encoder_decoder else _ANSWERS
    table = FAMILIES[config.family].heads(config).get(head)
    return () if table is None else table.rules


def head_rules(reader: AdapterReader) -> tuple[TensorRule, ...]:
    """Return the tensor rules of the base's head if it is of the kind that the adapter is for."""
    pretrained, task = reader.pretrained, reader.values.get("task_type")
    if pretrained.head is None or TASK_HEADS.get(str(task), pretrained.head) != pretrained.head:
        return ()
    return rules_of_head(reader.values, pretrained.head, pretrained.config)


def brought_head(
    values: Mapping[str, Any], tensors: Mapping[str, np.ndarray], config: Config
) -> tuple[str, int] | None:
    """Return the kind of the head that an adapter brings, and its number of classes.

    Args:
      values: the values of `adapter_config.json`.
      tensors: the tensors by PEFT's names.
      config: the config of the base model.

    Returns:
      The kind and the number; None for an adapter without a head for classes.
    """
    task = str(values.get("task_type"))
    names = {inner_name(name): tensor for name, tensor in tensors.items()}
    for head in [TASK_HEADS[task]] if task in TASK_HEADS else CLASSIFIERS:
        rules = rules_of_head(values, head, config)
        classes = next((rule.tensor for rule in rules if rule.path == CLASSES), None)
        if classes in names and names[classes].ndim == 2:
            return head, names[classes].shape[0]
    return None


def foreign_head(
    reader: AdapterReader, others: Mapping[str, str]
) -> tuple[Iterable[str], set[str]]:
    """Find a head that the adapter brings and that the base was not loaded with.

    Args:
      reader: the adapter.
      others: the names of the tensors that replace no leaf, by name without a prefix.

    Returns:
      A line if there is such a head, and the names of its tensors in the file.
    """
    pretrained = reader.pretrained
    if (
        pretrained.config.is_encoder_decoder
        and reader.values.get("task_type") == QUESTION_ANSWERING
    ):
        return [
            f"task_type is {QUESTION_ANSWERING}: in a {pretrained.config.family} the decoder says "
            "where an answer is, which no head does here"
        ], {name for inner, name in others.items() if inner.startswith("qa_outputs.")}
    head = brought_head(reader.values, reader.tensors, pretrained.config)
    if head is None:
        return (), set()
    kind, classes = head
    rules = rules_of_head(reader.values, kind, pretrained.config)
    names = {others[rule.tensor] for rule in rules if rule.tensor in others}
    if not names:
        return (), set()
    loaded = f"with the head {pretrained.head}" if pretrained.head else "without one"
    return [
        f"it brings a head ({', '.join(sorted(names))}), and {pretrained.name} was loaded "
        f"{loaded}. Load it with head={kind!r}, num_labels={classes}"
    ], names


def renamed_for_task(reader: AdapterReader) -> AdapterReader:
    """Return an adapter whose names are those of the family's other models.

    Some families call the model another name in their question-answering models.
    """
    renames = FAMILIES[reader.pretrained.config.family].answering_renames
    if reader.values.get("task_type") != QUESTION_ANSWERING or not renames:
        return reader

    def renamed(name: str) -> str:
        for old, new in renames:
            if name.startswith(old):
                return new + name.removeprefix(old)
        return name

    tensors = {
        PREFIX + renamed(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else name: tensor
        for name, tensor in reader.tensors.items()
    }
    values, targets = dict(reader.values), reader.values.get("target_modules")
    if isinstance(targets, list):
        values["target_modules"] = [
            renamed(name) if isinstance(name, str) else name for name in targets
        ]
    return dataclasses.replace(reader, tensors=tensors, values=values)


_KERNEL = "/kernel"


def adaptable_layers(reader: AdapterReader) -> list[PeftModule]:
    """Return the linear layers that an adapter may adapt.

    They include those of the model's head, but for a head that the adapter brings: PEFT does not
    use the adapters of layers inside such a module, and does not save them.

    Args:
      reader: the adapter.

    Returns:
      The layers. Those of a decoder are left out where the model was loaded without it.
    """
    pretrained, ends = reader.pretrained, tuple(listed_modules(reader.values))
    leaves = flatten(pretrained.params)
    layers = [
        module
        for module in all_linear_layers(pretrained.config)
        if f"{module.paths[0]}{_KERNEL}" in leaves
    ]
    known = {path for module in layers for path in module.paths}
    of_head = [
        PeftModule(rule.tensor.removesuffix(".weight"), rule.path.removesuffix(_KERNEL), None)
        for rule in head_rules(reader)
        if rule.path.endswith(_KERNEL) and rule.path in leaves
    ]
    return layers + [
        module
        for module in of_head
        if module.path not in known and not is_inside(f"{module.name}.weight", ends)
    ]


def listed_modules(values: Mapping[str, Any]) -> list[str]:
    """Return the names in `modules_to_save`; none if the field is not a list of names."""
    listed = values.get("modules_to_save")
    is_sound = isinstance(listed, list) and all(isinstance(name, str) and name for name in listed)
    return listed if isinstance(listed, list) and is_sound else []


def is_inside(tensor: str, ends: tuple[str, ...]) -> bool:
    """Return True if a tensor belongs to a module whose name has one of some ends."""
    parts = tensor.split(".")
    return any(".".join(parts[:count]).endswith(ends) for count in range(1, len(parts)))
