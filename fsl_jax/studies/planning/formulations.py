"""Make formulations from the task of a data set and the config of a study."""

from collections.abc import Callable, Mapping
from typing import Any

from fsl_jax.data.examples import Dataset
from fsl_jax.errors import InputError
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.formulations.heads.choice_head import ChoiceHead
from fsl_jax.formulations.heads.head import HeadFormulation
from fsl_jax.formulations.heads.marker_head import MarkerHead
from fsl_jax.formulations.heads.multicolumn_head import MulticolumnHead
from fsl_jax.formulations.heads.multilabel_head import MultilabelHead
from fsl_jax.formulations.heads.regression_head import RegressionHead, number_scale
from fsl_jax.formulations.heads.span_head import SpanHead
from fsl_jax.formulations.heads.word_head import WordHead, tags_of_types
from fsl_jax.formulations.template import Template
from fsl_jax.formulations.template_formulation import TemplateFormulation
from fsl_jax.formulations.verbalizer import Verbalizer, parse_verbalizer
from fsl_jax.formulations.writing.written import WrittenFormulation
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.planning.templates import template_of
from fsl_jax.tasks.registry import TASKS, find_task

AUTO, HEAD, TEMPLATE, WRITTEN = "auto", "head", "template", "written"

STOPS = ("\n", "\n\n")
"""The strings that may end a written answer: a new line, or an empty line after several lines."""

Limits = dict[str, Any]
Make = Callable[[Pretrained, Dataset, StudyConfig, Limits], Formulation]


def _classes(base: Pretrained, data: Dataset, config: StudyConfig, limits: Limits) -> Formulation:
    return HeadFormulation(base, data.labels, config.pooling, **limits)


def _labels(base: Pretrained, data: Dataset, config: StudyConfig, limits: Limits) -> Formulation:
    return MultilabelHead(base, data.labels, config.pooling, **limits)


def _columns(base: Pretrained, data: Dataset, config: StudyConfig, limits: Limits) -> Formulation:
    return MulticolumnHead(base, data.labels, config.pooling, **limits)


def _number(base: Pretrained, data: Dataset, config: StudyConfig, limits: Limits) -> Formulation:
    # The scale of the numbers is a fact about the data, like the set of labels.
    mean, deviation = number_scale(data.train)
    return RegressionHead(base, mean, deviation, config.pooling, **limits)


def _words(base: Pretrained, data: Dataset, config: StudyConfig, limits: Limits) -> Formulation:
    return WordHead(base, tags_of_types(data.labels), **limits)


def _markers(base: Pretrained, data: Dataset, config: StudyConfig, limits: Limits) -> Formulation:
    return MarkerHead(base, data.labels, **limits)


def _spans(base: Pretrained, data: Dataset, config: StudyConfig, limits: Limits) -> Formulation:
    may_be_silent = not all(example.answer for example in data.train)
    return SpanHead(base, may_be_silent=may_be_silent, **limits)


def _choices(base: Pretrained, data: Dataset, config: StudyConfig, limits: Limits) -> Formulation:
    return ChoiceHead(base, config.pooling, **limits)


def _template(base: Pretrained, data: Dataset, config: StudyConfig, limits: Limits) -> Formulation:
    mapping = parse_verbalizer(config.verbalizer) if config.verbalizer else None
    words = Verbalizer.from_mapping(data.labels, mapping)
    return TemplateFormulation(
        base, data.labels, Template(template_of(data.task, config.template)), words, **limits
    )


def _written(base: Pretrained, data: Dataset, config: StudyConfig, limits: Limits) -> Formulation:
    return WrittenFormulation(
        base,
        find_task(data.task),
        Template(template_of(data.task, config.template)),
        data.labels,
        max_answer=config.max_answer,
        stop=_stop(data),
        **limits,
    )


def _stop(data: Dataset) -> tuple[str, ...]:
    """Return the string that ends a written answer: the shortest that no labelled one has."""
    texts = list(map(find_task(data.task).written, (*data.train, *data.validation)))
    free = [string for string in STOPS if not any(string in text for text in texts)]
    return tuple(free[:1])


WAYS: Mapping[str, Mapping[str, Make]] = {
    "classification": {HEAD: _classes, TEMPLATE: _template, WRITTEN: _written},
    "relation": {HEAD: _markers, TEMPLATE: _template, WRITTEN: _written},
    "multilabel": {HEAD: _labels, WRITTEN: _written},
    "multicolumn": {HEAD: _columns, WRITTEN: _written},
    "regression": {HEAD: _number},
    "tagging": {HEAD: _words, WRITTEN: _written},
    "question_answering": {HEAD: _spans, WRITTEN: _written},
    "multiple_choice": {HEAD: _choices, WRITTEN: _written},
    "generation": {WRITTEN: _written},
}
"""The ways to ask for the answers of each task, by the names that flags have for them."""


def prompt_kind(kind: str, dataset: Dataset) -> str:
    """Return how methods that train nothing ask for an answer: never by a head.

    Args:
      kind: as for `make_formulation`.
      dataset: the data.

    Returns:
      The name in `WAYS`: label words where the task has any, else a written answer, unless one of
      the two was chosen.

    Raises:
      InputError: the answers of this task are no texts.
    """
    ways = WAYS[dataset.task]
    prompts = [way for way in (TEMPLATE, WRITTEN) if way in ways]
    if not prompts:
        asked = [task for task in TASKS if WRITTEN in WAYS[task]]
        raise InputError(
            f"zero_shot and icl ask for an answer as text, and the task {dataset.task} of "
            f"{dataset.name} has none: leave them out of the methods. They are for "
            f"{', '.join(asked)}"
        )
    return prompts[0] if kind == AUTO else kind


def make_formulation(
    kind: str,
    pretrained: Pretrained,
    dataset: Dataset,
    config: StudyConfig,
    reserved_positions: int = 0,
) -> Formulation:
    """Make the formulation of a program.

    Args:
      kind: a name in `WAYS`, or `auto`: a template for language models where the task has labels
        for one, else a head where the task has one.
      pretrained: the model.
      dataset: the data, whose task decides which head it is.
      config: the study's config.
      reserved_positions: the number of the model's positions that the methods take in addition to a
        text.

    Returns:
      The formulation.

    Raises:
      InputError: no model can be asked for the answers of this task in this way.
    """
    ways = WAYS[dataset.task]
    if kind == AUTO:
        asked = TEMPLATE if pretrained.is_language_model and TEMPLATE in ways else HEAD
        kind = asked if asked in ways else WRITTEN
    if kind not in ways:
        others = [task for task in TASKS if kind in WAYS[task]]
        raise InputError(
            f"the task {dataset.task} of {dataset.name} has no formulation {kind!r}: it can be "
            f"asked by {' or '.join(ways)}. {kind!r} is for {', '.join(others)}"
        )
    limits = {"max_length": config.max_length, "reserved_positions": reserved_positions}
    return ways[kind](pretrained, dataset, config, limits)
