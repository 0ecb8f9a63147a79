"""Test the selected runs of a program on the test set."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from fsl_jax.processes import to_host
from fsl_jax.studies.running.prepare import Prepared
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.studies.running.training import Fitted
from fsl_jax.tasks.encoding import label_indices
from fsl_jax.training.predictor import Predictor


@dataclasses.dataclass(frozen=True)
class Measured:
    """The results of the selected runs on the test set.

    Attributes:
      accuracies: the accuracy of each selected run by its index, from 0 to 1.
      truncated: the number of test texts that were cut.
    """

    accuracies: dict[int, float]
    truncated: int


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
      The accuracies, and the number of test texts that were cut.
    """
    if not selected:
        return Measured({}, prepared.formulation.tokenize(study.test)[1])
    rows = np.array(selected)
    best, frozen_leaves = (
        jax.tree.map(lambda leaf: leaf[rows], to_host(tree))
        for tree in (fitted.best, prepared.stack.frozen_leaves)
    )
    predictor = Predictor(
        prepared.formulation,
        prepared.stack.method,
        best,
        frozen_leaves,
        prepared.stack.shared,
        mesh=study.mesh,
    )
    predicted = predictor.predict(study.test)
    labels = label_indices(study.test, prepared.formulation.labels)
    accuracies = (predicted.logits.argmax(axis=-1) == labels[None, :]).mean(axis=1)
    return Measured(dict(zip(selected, map(float, accuracies), strict=True)), predicted.truncated)
