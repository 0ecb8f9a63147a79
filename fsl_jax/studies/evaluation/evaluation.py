"""The results of an adapter on a test set: scores, tables and predictions."""

import dataclasses
import functools
import hashlib
from typing import Any

import numpy as np
from scipy.special import softmax

from fsl_jax.adapt.files.adapter_files import Adapter
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.formulations.formulation import Formulation, WritingFormulation
from fsl_jax.studies.records.jsonl import Record
from fsl_jax.tasks.registry import find_task
from fsl_jax.tasks.task import Metric, Scores, Table, Task


@dataclasses.dataclass(frozen=True)
class Prediction(Record):
    """One line of `predictions.jsonl`.

    Attributes:
      index: the position of the example among those that were evaluated.
      text_sha256: SHA-256 of the example's text in UTF-8, which identifies the example.
      answer: the correct answer.
      prediction: the model's answer; None if it gave none.
      probabilities: the probability of each class, from 0 to 1; None if answers are no classes.
    """

    index: int
    text_sha256: str
    answer: Any
    prediction: Any
    probabilities: dict[str, float] | None


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """The answers of an adapted model to E examples.

    Attributes:
      adapter: the adapter.
      formulation: says how the model was asked.
      dataset: the data.
      examples: the examples that were evaluated.
      answers: the model's answer to each.
      logits: the class logits, float32 `[E, C]`; None if answers are no classes.
      truncated: the number of texts that were cut to the formulation's limit.
      cut_answers: the number of written answers that were cut at the formulation's `max_answer`.
    """

    adapter: Adapter
    formulation: Formulation
    dataset: Dataset
    examples: tuple[Example, ...]
    answers: tuple[Any, ...]
    logits: np.ndarray | None
    truncated: int
    cut_answers: int = 0

    @property
    def task(self) -> Task:
        """The task of the examples."""
        return find_task(self.dataset.task)

    @functools.cached_property
    def scores(self) -> Scores:
        """The value of each metric by name, the headline first."""
        return self.task.score(self.answers, self.examples)

    @functools.cached_property
    def tables(self) -> list[Table]:
        """Tables that show where answers are right and wrong."""
        return self.task.details(self.answers, self.examples)

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """A record for each example, in order."""
        return tuple(
            Prediction(
                index=index,
                text_sha256=hashlib.sha256(example.text.encode()).hexdigest(),
                answer=example.answer,
                prediction=answer,
                probabilities=probabilities,
            )
            for index, (example, answer, probabilities) in enumerate(
                zip(self.examples, self.answers, self._probabilities(), strict=True)
            )
        )

    def _probabilities(self) -> list[dict[str, float]] | list[None]:
        """Return the probability of each class for each example."""
        if self.logits is None:
            return [None] * len(self.examples)
        labels = self.formulation.labels
        rows = softmax(self.logits.astype(np.float64), axis=1)
        return [dict(zip(labels, (round(p, 6) for p in row.tolist()), strict=True)) for row in rows]

    def __str__(self) -> str:
        """Write the tables, the scores, and how many answers and texts were unreadable or cut."""
        metrics = {metric.name: metric for metric in self.task.metrics}
        lines = [line for table in self.tables for line in (*_lines(table), "")]
        scores = [_score(metrics[name], value) for name, value in self.scores.items()]
        lines += [f"{scores[0]} of {len(self.examples)} examples", *scores[1:]]
        if self.cut_answers:
            assert isinstance(self.formulation, WritingFormulation)
            most = self.formulation.max_answer
            lines.append(
                f"{self.cut_answers} of {len(self.answers)} answers were cut at {most} tokens "
                "(max_answer of the adapter)"
            )
        if unreadable := sum(answer is None for answer in self.answers):
            lines.append(f"{unreadable} answers could not be read, and count as wrong")
        if self.truncated:
            limit = self.formulation.limit
            lines.append(f"{self.truncated} texts were longer than {limit} tokens and were cut")
        return "\n".join(lines)


def _score(metric: Metric, value: float) -> str:
    shown = f"{100 * value:.1f} %" if metric.is_share else f"{value:.3f}"
    return f"{metric.title} {shown}"


def _lines(table: Table) -> list[str]:
    """Write a table with columns that are as wide as their widest cell."""
    rows = [table.columns, *([_cell(value) for value in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        table.title,
        *(
            "  ".join(
                cell.ljust(width) if number == 0 else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ),
    ]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
