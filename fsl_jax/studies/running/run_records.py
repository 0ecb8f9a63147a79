"""Make the parts of records that runs of all methods share."""

from typing import Any, SupportsFloat

from fsl_jax.formulations.formulation import Formulation, WritingFormulation
from fsl_jax.studies.planning.environment import versions
from fsl_jax.studies.planning.programs import PlannedProgram, PlannedRun
from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.running.running_study import RunningStudy

TRAINING_FIELDS = (
    "dropout",
    "warmup",
    "clip_norm",
    "evaluate_every",
    "patience",
    "rematerialize",
    "dtype",
)
"""The fields of a study's config that a record of a trained run has under `settings`."""


def make_record(
    study: RunningStudy,
    planned: PlannedProgram,
    run: PlannedRun,
    *,
    settings: dict[str, Any],
    **result: Any,
) -> RunRecord:
    """Make the record of a run.

    Args:
      study: the study.
      planned: the run's program.
      run: the run.
      settings: the settings of the method and the formulation.
      **result: the fields of `RunRecord` for the result of the run.

    Returns:
      The record.
    """
    config, pretrained = study.config, study.load(planned.model)
    training = {name: getattr(config, name) for name in TRAINING_FIELDS} if planned.trains else {}
    return RunRecord(
        method=run.method_text,
        model=planned.model,
        dataset=config.dataset,
        metric=study.task.metrics[0].name,
        seed=run.seed,
        shots=config.shots,
        learning_rate=run.learning_rate,
        steps=planned.steps,
        batch_size=planned.batch_size or None,
        weight_decay=config.weight_decay if planned.trains else None,
        settings={
            **training,
            "attention": config.attention,
            "matmul_precision": config.matmul_precision,
            **settings,
        },
        model_sha256=pretrained.sha256,
        model_files=dict(pretrained.file_hashes),
        versions=versions(),
        **result,
    )


def rounded(value: SupportsFloat) -> float:
    """Round a number to six digits, so that it has the same text in every file."""
    return round(float(value), 6)


def answer_notes(
    formulation: Formulation, answers: int, unreadable: int, cut: int
) -> tuple[str, ...]:
    """Return notes about answers that were cut, or that nobody can read; none without such answers.

    Args:
      formulation: the formulation of the run.
      answers: the number of answers to test examples.
      unreadable: the number of those that could not be read.
      cut: the number of those that were cut at the formulation's `max_answer`.
    """
    notes = []
    if cut:
        assert isinstance(formulation, WritingFormulation)
        most = formulation.max_answer
        notes.append(f"{cut} of {answers} test answers were cut at {most} tokens (--max_answer)")
    if unreadable:
        notes.append(f"{unreadable} test answers could not be read, and count as wrong")
    return tuple(notes)


def truncation_note(count: int, texts: str, limit: int) -> str:
    """Return the note about texts that were cut.

    Args:
      count: the number of texts that were cut.
      texts: the name of the set of texts, such as `test`.
      limit: the maximum number of tokens of a text.
    """
    return f"{count} {texts} texts were longer than {limit} tokens and were cut"
