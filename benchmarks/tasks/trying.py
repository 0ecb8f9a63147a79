"""Find out by trying which models can be asked for the answers of which tasks, and how.

A formulation is made on a tiny model, and each method is attached to it. Nothing is trained, and no
parameter is drawn: all is traced on shapes.
"""

import functools
from typing import NamedTuple

import jax

from benchmarks.tasks.models import FAMILIES, models
from benchmarks.tasks.rows import sample
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.registry import METHODS, parse_method
from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError
from fsl_jax.formulations.batches import unpacked_batch
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.studies.planning.formulations import HEAD, WAYS, make_formulation
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.training.stacked_runs import stack_shapes

CONFIG = StudyConfig(max_answer=16)
TRIED = (*(name for name in METHODS), "prompt_tuning(position='suffix')")
"""The methods that are tried, as flags have them, with the one setting that not all models take."""


class Combination(NamedTuple):
    """A task, a way to ask for its answers, and a family of models."""

    task: str
    way: str
    family: str


def combinations() -> list[Combination]:
    """List every task in each of its ways with every family."""
    return [
        Combination(task, way, family)
        for task, ways in WAYS.items()
        for way in ways
        for family in FAMILIES
    ]


def formulation_of(
    combination: Combination, pretrained: Pretrained, reserved_positions: int = 0
) -> Formulation:
    """Make the formulation of a combination for the sample of its task.

    Args:
      combination: the combination.
      pretrained: a model of its family.
      reserved_positions: as in `make_formulation`.

    Returns:
      The formulation.

    Raises:
      InputError: the model cannot be asked in this way.
    """
    dataset = sample(combination.task)
    return make_formulation(combination.way, pretrained, dataset, CONFIG, reserved_positions)


@functools.cache
def refusal(combination: Combination) -> str:
    """Return why a family cannot be asked; empty if it can."""
    try:
        formulation_of(combination, models()[combination.family])
    except InputError as error:
        return first_sentence(error)
    return ""


@functools.cache
def refusal_of_method(combination: Combination, text: str) -> str:
    """Return why a method does not serve a combination; empty if it does."""
    method = parse_method(text)
    try:
        if method.trains:
            _attach(combination, method)
        elif combination.way == HEAD:
            raise InputError("a head must be trained")
    except InputError as error:
        return first_sentence(error)
    return ""


def first_sentence(error: InputError) -> str:
    """Return what an error says first."""
    return str(error).partition("\n")[0].partition(". ")[0].rstrip(".:")


def _attach(combination: Combination, method: Method) -> None:
    """Trace a method with its loss on the first examples of a sample."""
    pretrained = models()[combination.family]
    formulation = formulation_of(combination, pretrained, method.positions)
    examples = sample(combination.task).train[:1]
    tokenized = formulation.tokenize(examples)

    def forward(params: Params) -> jax.Array:
        segments = formulation.segments(params, tokenized.tokens)
        return formulation.outputs(params, unpacked_batch(segments, features=tokenized.features))

    stack_shapes(formulation, pretrained.params, [method], [0], forward)
