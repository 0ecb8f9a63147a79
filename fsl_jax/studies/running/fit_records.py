"""Make the records of runs that trained."""

import dataclasses
from typing import Any

import numpy as np

from fsl_jax.adapt.summary import count_parameters
from fsl_jax.studies.records.records import CurvePoint, RunRecord
from fsl_jax.studies.running.prepare import Prepared
from fsl_jax.studies.running.run_records import (
    answer_notes,
    make_record,
    rounded,
    truncation_note,
)
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.studies.running.testing import Measured
from fsl_jax.studies.running.training import Fitted


def fit_records(
    study: RunningStudy,
    prepared: Prepared,
    fitted: Fitted,
    measured: Measured,
    adapters: dict[int, str],
) -> list[RunRecord]:
    """Make the records of all runs of a program.

    Args:
      study: the study.
      prepared: the arrays of the program.
      fitted: the history of all runs.
      measured: the results of the selected runs on the test set.
      adapters: the adapter directory of each selected run, by the run's index.

    Returns:
      A record for each run, in order.
    """
    notes = _truncation_notes(prepared, measured)
    return [
        _fit_record(
            study,
            prepared,
            index,
            history,
            measured,
            adapters.get(index),
            (
                *notes,
                *answer_notes(
                    prepared.formulation,
                    len(study.test),
                    measured.unreadable.get(index, 0),
                    measured.cut_answers.get(index, 0),
                ),
            ),
        )
        for index, history in enumerate(_histories(fitted, len(prepared.planned.runs)))
    ]


def _histories(fitted: Fitted, runs: int) -> list[dict[str, Any]]:
    """Return a separate history for each run."""
    return [
        {name: values[index] for name, values in fitted.history.items()} for index in range(runs)
    ]


def _fit_record(
    study: RunningStudy,
    prepared: Prepared,
    index: int,
    history: dict[str, Any],
    measured: Measured,
    adapter: str | None,
    notes: tuple[str, ...],
) -> RunRecord:
    run, shapes = prepared.planned.runs[index], prepared.stack.shapes[index]
    score = measured.scores.get(index)
    validated = bool(np.isfinite(history["best_measure"]))
    unused = run.method.unused_parameters(shapes)
    return make_record(
        study,
        prepared.planned,
        run,
        formulation=prepared.formulation.name,
        settings={
            "method": dataclasses.asdict(run.method),
            "formulation": prepared.formulation.describe(),
        },
        status=_status(history),
        validation=rounded(history["best_measure"]) if validated else None,
        best_step=int(history["best_step"]) if validated else None,
        selected=score is not None,
        test=rounded(score) if score is not None else None,
        test_examples=len(study.test) if score is not None else None,
        adapter=adapter,
        trainable_parameters=count_parameters(shapes) - unused,
        total_parameters=prepared.stack.total_parameters(index) - unused,
        notes=notes,
        curve=_curve(history, prepared.fit_config.evaluate_every),
    )


def _status(history: dict[str, Any]) -> str:
    if history["diverged"]:
        return "nan"
    return "stopped_early" if history["stopped"] else "finished"


def _truncation_notes(prepared: Prepared, measured: Measured) -> tuple[str, ...]:
    """Return a note for each set of examples in which texts were cut."""
    truncated = {
        "training and validation": prepared.encoded.truncated,
        "test": measured.truncated,
    }
    limit = prepared.formulation.limit
    return tuple(
        truncation_note(count, texts, limit) for texts, count in truncated.items() if count
    )


def _curve(history: dict[str, Any], every: int) -> tuple[CurvePoint, ...]:
    """Return a point for each validation that took place.

    Args:
      history: the history of one run.
      every: the number of steps between validations.
    """
    points = []
    for number, measure in enumerate(history["measures"]):
        losses = history["losses"][number * every : (number + 1) * every]
        finite = losses[np.isfinite(losses)]
        if np.isfinite(measure):
            mean = rounded(finite.mean()) if len(finite) else None
            step = min((number + 1) * every, len(history["losses"]))
            points.append(CurvePoint(step, rounded(measure), mean))
    return tuple(points)
