"""The record of a run: one line of `results.jsonl`, with every setting and no timing."""

import dataclasses
from typing import Any, Literal, NamedTuple, get_args

from etils import epath

from fsl_jax.studies.records.jsonl import Record, read_records

Status = Literal["finished", "stopped_early", "nan"]
STATUSES: tuple[str, ...] = get_args(Status)


class CurvePoint(NamedTuple):
    """One evaluation of a run; written as the list `[step, metric, loss]`.

    Attributes:
      step: the number of optimiser steps done.
      metric: the metric on the validation examples, a share in [0, 1].
      loss: mean training loss since the previous point, in nats; None without a loss.
    """

    step: int
    metric: float | None
    loss: float | None


class RowKey(NamedTuple):
    """The values that the runs of one row of the table share."""

    method: str
    model: str
    dataset: str
    shots: int
    metric: str


@dataclasses.dataclass(frozen=True)
class RunRecord(Record):
    """One method on one split with one set of hyperparameters, and its results.

    A method that trains nothing (`zero_shot`, `icl`) has no learning rate, weight decay, batch
    size or curve, 0 steps and 0 trainable parameters. Metrics are shares in [0, 1], or correlations
    in [-1, 1].

    Attributes:
      method: the method as it was written, including settings.
      model: the model as it was written.
      dataset: the data set as it was written.
      formulation: `head`, `template` or `written`.
      metric: the name of the metric in `validation` and `test`.
      seed: the seed of the split, the initialisation and the order of batches.
      shots: labelled examples per class in the split, even if the method does not use them.
      learning_rate: the peak learning rate.
      steps: the requested number of optimiser steps; the curve shows where the run ended.
      batch_size: the number of examples per step.
      weight_decay: the weight decay of AdamW.
      settings: all other settings: those of the method, the template and verbalizer, dropout,
        warm-up.
      status: `finished`, `stopped_early`, or `nan` if the loss became NaN or infinite.
      validation: the best metric on the validation examples; None if it was never measured.
      best_step: the step whose parameters were kept.
      selected: whether validation chose this run for its method and seed.
      test: the metric on the test set, which only selected runs see.
      test_examples: the size of that test set.
      adapter: the directory of the saved adapter, relative to the directory of the results.
      trainable_parameters: the number of trained parameters.
      total_parameters: the number of parameters in the whole tree.
      model_sha256: SHA-256 of the base model's weights.
      versions: from `environment.versions`.
      notes: sentences for the reader: truncated texts, demonstrations that fitted.
      curve: the evaluations in the order of their steps.
      model_files: the SHA-256 of the base model's config and of each file of its tokenizer, by
        name; empty for a GGUF file, and in the records of fsl_jax 0.1.0.
    """

    method: str
    model: str
    dataset: str
    formulation: str
    metric: str
    seed: int
    shots: int
    learning_rate: float | None
    steps: int
    batch_size: int | None
    weight_decay: float | None
    settings: dict[str, Any]
    status: str
    validation: float | None
    best_step: int | None
    selected: bool
    test: float | None
    test_examples: int | None
    adapter: str | None
    trainable_parameters: int
    total_parameters: int
    model_sha256: str
    versions: dict[str, str]
    notes: tuple[str, ...]
    curve: tuple[CurvePoint, ...]
    model_files: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def row(self) -> RowKey:
        """The row of the table that this run belongs to."""
        return RowKey(self.method, self.model, self.dataset, self.shots, self.metric)

    @property
    def failed(self) -> bool:
        """True if the run has no result that could be selected."""
        return self.status == "nan"

    def contradictions(self) -> list[str]:
        """List the contradictions in one record; see `Record`."""
        problems = []
        if self.status not in STATUSES:
            problems.append(f"status: expected one of {', '.join(STATUSES)}, found {self.status!r}")
        if self.selected and self.failed:
            problems.append("selected: a run whose loss is not a number cannot be selected")
        if self.selected != (self.test is not None):
            problems.append("test: a selected run has a test value, and no other run has one")
        for name in ("validation", "test"):
            value = getattr(self, name)
            if value is not None and not -1 <= value <= 1:
                problems.append(f"{name}: expected a number between -1 and 1, found {value}")
        return problems


def read_results(path: epath.PathLike) -> tuple[RunRecord, ...]:
    """Read `results.jsonl` strictly; `write_records` writes it.

    Args:
      path: the file.

    Returns:
      The records in the order of their lines.

    Raises:
      InputError: some lines are not records of runs; the error names the number of every such line.
    """
    return read_records(path, RunRecord)
