"""Test the selected runs of a program on the test set."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from fsl_jax.processes import to_host
from fsl_jax.studies.running.prepare import Prepared
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.studies.running.training import Fitted
from fsl_jax.training.predictors import make_predictor


@dataclasses.dataclass(frozen=True)
class Measured:
    """The results of the selected runs on the test set.

    Attributes:
      scores: the metric of each selected run by its index.
      truncated: the number of test texts that were cut.
      unreadable: the number of test examples to which each selected run gave no answer that could
        be read, by its index.
      cut_answers: the number of written answers of each selected run that were cut at the
        formulation's `max_answer`, by its index.
    """

    scores: dict[int, float]
    truncated: int
    unreadable: dict[int, int] = dataclasses.field(default_factory=dict)
    cut_answers: dict[int, int] = dataclasses.field(default_factory=dict)


def measure_selected(
    study: RunningStudy, prepared: Prepared, fitted: Fitted, selected: Sequence[int]
) -> Measured:
    """Run the selected models on the test set.

    Args:
      study: the study.
      prepared: the arrays of the program.
      fitted: the trained leaves of all runs.
      selected: the indices of the selected runs; empty if all runs failed.

    Returns:
      The scores, and the number of test texts that were cut.
    """
    if not selected:
        return Measured({}, prepared.formulation.tokenize(study.test).truncated)
    rows = np.array(selected)
    best, frozen_leaves = (
        jax.tree.map(lambda leaf: leaf[rows], to_host(tree))
        for tree in (fitted.best, prepared.stack.frozen_leaves)
    )
    models = dataclasses.replace(prepared.stack.models, trainable=best, frozen_leaves=frozen_leaves)
    predicted = make_predictor(prepared.formulation, models, study.mesh).predict(study.test)
    scores = [study.score(answers) for answers in predicted.answers]
    return Measured(
        dict(zip(selected, scores, strict=True)),
        predicted.truncated,
        dict(zip(selected, predicted.unreadable, strict=True)),
        dict(zip(selected, predicted.cut_answers, strict=True)),
    )
