"""The results of an adapter on a test set: counts, shares, predictions and a table."""

import dataclasses
import functools
import hashlib
from typing import Any

import numpy as np

from fsl_jax.adapt.files.adapter_files import Adapter
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.studies.records.jsonl import Record
from fsl_jax.tasks.encoding import label_indices
from fsl_jax.tasks.formulation import Formulation

COLUMNS = ("examples", "predicted", "correct", "precision", "recall", "f1")


@dataclasses.dataclass(frozen=True)
class Prediction(Record):
    """One line of `predictions.jsonl`.

    Attributes:
      index: the position of the example among those that were evaluated.
      text_sha256: SHA-256 of the example's text in UTF-8, which identifies the example.
      label: the example's label.
      prediction: the most probable label.
      probabilities: the probability of each label, from 0 to 1.
    """

    index: int
    text_sha256: str
    label: str
    prediction: str
    probabilities: dict[str, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """The class logits of an adapted model on E examples in C classes.

    Attributes:
      adapter: the adapter.
      formulation: the formulation with which the logits were computed.
      dataset: the data.
      examples: the examples that were evaluated.
      logits: float32 `[E, C]`.
      truncated: the number of texts that were cut to the formulation's limit.
    """

    adapter: Adapter
    formulation: Formulation
    dataset: Dataset
    examples: tuple[Example, ...]
    logits: np.ndarray
    truncated: int

    @functools.cached_property
    def confusion(self) -> np.ndarray:
        """The number of examples by class (row) and predicted class (column), `[C, C]`."""
        labels = self.formulation.labels
        counts = np.zeros((len(labels), len(labels)), np.int64)
        truth = label_indices(self.examples, labels)
        np.add.at(counts, (truth, self.logits.argmax(axis=1)), 1)
        return counts

    @property
    def accuracy(self) -> float:
        """The share of examples whose most probable label is correct, from 0 to 1."""
        return float(np.trace(self.confusion)) / len(self.examples)

    @property
    def classes(self) -> dict[str, dict[str, Any]]:
        """The counts of each label, and its precision, recall and F1.

        A share with denominator 0 is None, such as the precision of a label that was never
        predicted.
        """
        rows = {}
        for index, label in enumerate(self.formulation.labels):
            examples, predicted = self.confusion[index].sum(), self.confusion[:, index].sum()
            correct = self.confusion[index, index]
            rows[label] = {
                "examples": int(examples),
                "predicted": int(predicted),
                "correct": int(correct),
                "precision": _share(correct, predicted),
                "recall": _share(correct, examples),
                "f1": _share(2 * correct, examples + predicted),
            }
        return rows

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """A record for each example, in order."""
        labels = self.formulation.labels
        probabilities = np.exp(self.logits - self.logits.max(axis=1, keepdims=True), dtype=float)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        return tuple(
            Prediction(
                index=index,
                text_sha256=hashlib.sha256(example.text.encode()).hexdigest(),
                label=example.label,
                prediction=labels[int(row.argmax())],
                probabilities=dict(zip(labels, (round(p, 6) for p in row.tolist()), strict=True)),
            )
            for index, (example, row) in enumerate(zip(self.examples, probabilities, strict=True))
        )

    def __str__(self) -> str:
        """Write a table with a line for each class, and the accuracy."""
        width = max(map(len, ("class", *self.formulation.labels)))
        lines = [f"{'class':<{width}}" + "".join(f"{column:>11}" for column in COLUMNS)]
        for label, row in self.classes.items():
            cells = "".join(f"{_cell(row[column]):>11}" for column in COLUMNS)
            lines.append(f"{label:<{width}}{cells}")
        correct, total = int(np.trace(self.confusion)), len(self.examples)
        lines += ["", f"accuracy {self.accuracy:.1%} ({correct} of {total})"]
        if self.truncated:
            limit = self.formulation.limit
            lines.append(f"{self.truncated} texts were longer than {limit} tokens and were cut")
        return "\n".join(lines)


def _share(part: np.integer, whole: np.integer) -> float | None:
    return float(part) / float(whole) if whole else None


def _cell(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
