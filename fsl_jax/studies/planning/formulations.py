"""Make formulations from the config of a study."""

import dataclasses
from typing import Any

from fsl_jax.errors import InputError, problems_error, unknown_name
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.tasks.classifier import ClassifierFormulation
from fsl_jax.tasks.formulation import Formulation
from fsl_jax.tasks.head import HeadFormulation
from fsl_jax.tasks.template import Template
from fsl_jax.tasks.template_formulation import TemplateFormulation
from fsl_jax.tasks.verbalizer import Verbalizer, parse_verbalizer
from fsl_jax.validation import checked_fields


def make_formulation(
    kind: str,
    pretrained: Pretrained,
    labels: tuple[str, ...],
    config: StudyConfig,
    reserved_positions: int = 0,
) -> Formulation:
    """Make the formulation of a program.

    Args:
      kind: `head`, `template`, or `auto`, which means a template for language models and a head for
        other models.
      pretrained: the model.
      labels: the classes.
      config: the study's config.
      reserved_positions: the number of the model's positions that the methods take in addition to a
        text.

    Returns:
      The formulation.
    """
    if kind == "auto":
        kind = "template" if pretrained.is_language_model else "head"
    if kind == "head":
        return HeadFormulation(
            pretrained, labels, config.pooling, config.max_length, reserved_positions
        )
    mapping = parse_verbalizer(config.verbalizer) if config.verbalizer else None
    return TemplateFormulation(
        pretrained,
        labels,
        Template(config.template),
        Verbalizer.from_mapping(labels, mapping),
        config.max_length,
        reserved_positions,
    )


def describe_formulation(formulation: Formulation) -> dict[str, Any]:
    """Describe a formulation as JSON values, from which `restore_formulation` can make it.

    Args:
      formulation: a head or a template.

    Returns:
      The name of the formulation, its labels, and its other arguments.
    """
    common = {
        "name": formulation.name,
        "labels": list(formulation.labels),
        "max_length": formulation.limit,
    }
    if isinstance(formulation, ClassifierFormulation):
        return common
    if isinstance(formulation, HeadFormulation):
        return common | {"pooling": formulation.pooling}
    if not isinstance(formulation, TemplateFormulation):
        raise unknown_name("formulation", formulation.name, ["head", "template"])
    words = dict(zip(formulation.labels, map(list, formulation.verbalizer.words), strict=True))
    return common | {
        "max_length": formulation.limit_with_words,
        "template": formulation.template.text,
        "verbalizer": words,
    }


def restore_formulation(described: dict[str, Any], pretrained: Pretrained) -> Formulation:
    """Make the formulation that `describe_formulation` described.

    Args:
      described: the result of `describe_formulation`.
      pretrained: the model.

    Returns:
      The formulation.

    Raises:
      InputError: parts of the description are missing or of another kind; the error lists all.
    """
    is_head = described.get("name") == HeadFormulation.name
    try:
        values = checked_fields(_Head if is_head else _Template, described)
    except InputError as error:
        raise problems_error(
            "the adapter's description of its task cannot be used; save the adapter again:",
            error.problems,
        ) from error
    labels, length = tuple(values["labels"]), values["max_length"]
    if length < 1:
        raise InputError(f"the adapter's description has max_length {length}; expected at least 1")
    if is_head:
        return HeadFormulation(pretrained, labels, values["pooling"], length)
    words = Verbalizer.from_mapping(labels, values["verbalizer"])
    return TemplateFormulation(pretrained, labels, Template(values["template"]), words, length)


@dataclasses.dataclass(frozen=True)
class _Head:
    """The description of a head."""

    labels: list[str]
    max_length: int
    pooling: str


@dataclasses.dataclass(frozen=True)
class _Template:
    """The description of a template with its label words."""

    labels: list[str]
    max_length: int
    template: str
    verbalizer: dict[str, list[str]]
