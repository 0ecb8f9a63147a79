"""Several columns of labels: each text has one class in each of them, such as topic and urgency."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from fsl_jax.data.draws.covering import draw_covering
from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.tasks.classification import are_classes
from fsl_jax.tasks.metrics.classes import accuracy, class_table, confusion_table, macro_f1
from fsl_jax.tasks.parts.label_text import find_label
from fsl_jax.tasks.parts.row_reader import RowReader, value_of
from fsl_jax.tasks.parts.text_columns import TEXTS, find_texts
from fsl_jax.tasks.task import Columns, Metric, Roles, Scores, Table, Task, Values

BETWEEN = "="
"""Stands between the name of a column and its label in the labels of a data set."""

Answer = tuple[str, ...]


class Multicolumn(Task):
    """Says which class a text has in each of several columns; the answer is a label for each.

    The names of the columns are the `names` of an example. The labels of a data set are written
    `column=label`, see `labels_by_column`.
    """

    name = "multicolumn"
    description = "one class in each of several columns for each text"
    roles: ClassVar[Roles] = {
        "text": TEXTS,
        "label": (),
        "identity": ("id", "idx", "guid"),
        "group": (),
    }
    optional = frozenset(("identity", "group"))
    texts = frozenset(("text",))
    metrics = (
        Metric("accuracy", "accuracy"),
        Metric("macro_f1", "macro F1"),
        Metric("all_columns", "all columns right"),
    )

    def find(self, columns: Sequence[str], rows: Sequence[Values]) -> dict[str, tuple[str, ...]]:
        """Find the texts; the columns of the labels have no usual names."""
        texts = find_texts(columns)
        return super().find(columns, rows) | ({"text": texts} if texts else {})

    def recognises(self, rows: Sequence[Values], columns: Columns) -> bool:
        """Recognise more than one column of classes."""
        return len(columns["label"]) > 1 and all(
            are_classes([label for row in rows if (label := value_of(row, column)) is not None])
            for column in columns["label"]
        )

    def read(self, row: Values, columns: Columns) -> Example:
        """Read the texts and the labels."""
        reader = RowReader(row, columns)
        parts = reader.texts("text")
        names = columns["label"]
        answer = tuple(reader.label_of(value_of(row, column), column) for column in names)
        return reader.example(parts, answer, names=tuple(names))

    def labels_in(self, example: Example) -> Answer:
        """Return the labels with their columns."""
        return (
            () if example.answer is None else tuple(map(_joined, _names(example), example.answer))
        )

    def labels(self, examples: Sequence[Example]) -> tuple[str, ...]:
        """Return the labels of the first column, sorted, then those of the next one, and so on."""
        found = {label: None for example in examples for label in self.labels_in(example)}
        order = list(_names(examples[0])) if examples else []
        return tuple(sorted(found, key=lambda label: (order.index(_column(label)), label)))

    def renamed(self, example: Example, names: Mapping[str, str]) -> Example:
        """Give labels other names."""
        renamed = [names.get(label, label) for label in self.labels_in(example)]
        return replace(example, answer=tuple(label.partition(BETWEEN)[2] for label in renamed))

    def problems(self, labels: Sequence[str]) -> list[str]:
        """Ask for two classes in each column."""
        return [
            f"train has 1 class in column {column!r}, at least 2 are needed"
            for column, classes in labels_by_column(labels).items()
            if len(classes) < 2
        ]

    def draw(self, dataset: Dataset, shots: int, seed: int) -> Split:
        """Draw as few examples as have each label of each column K times."""
        return draw_covering(dataset, shots, seed, lambda e: frozenset(self.labels_in(e)))

    def written(self, example: Example) -> str:
        """Write each column and its label."""
        named = zip(_names(example), example.answer, strict=True)
        return "; ".join(f"{name}: {label}" for name, label in named)

    def parse(self, text: str, example: Example, labels: Sequence[str] = ()) -> Answer | None:
        """Read the label after the name of each column."""
        known = labels_by_column(labels)
        pieces = dict(_pair(piece) for piece in text.replace("\n", ";").split(";"))
        found = [
            find_label(pieces.get(name.casefold(), ""), known.get(name, ()))
            for name in _names(example)
        ]
        return tuple(label for label in found if label) if found and all(found) else None

    def score(self, answers: Sequence[Answer | None], examples: Sequence[Example]) -> Scores:
        """Return the means over the columns, and the share of texts with all columns right."""
        correct = [example.answer for example in examples]
        pairs = [_of_column(answers, examples, number) for number in range(len(correct[0]))]
        return {
            "accuracy": float(np.mean([accuracy(*pair) for pair in pairs])),
            "macro_f1": float(np.mean([macro_f1(*pair) for pair in pairs])),
            "all_columns": accuracy(answers, correct),
        }

    def details(self, answers: Sequence[Answer | None], examples: Sequence[Example]) -> list[Table]:
        """Return the scores by column, and for each column those by class and its confusions."""
        names = _names(examples[0])
        pairs = [_of_column(answers, examples, number) for number in range(len(names))]
        rows = tuple(
            (name, accuracy(*pair), macro_f1(*pair))
            for name, pair in zip(names, pairs, strict=True)
        )
        tables = [Table("By column", ("column", "accuracy", "macro F1"), rows)]
        for name, pair in zip(names, pairs, strict=True):
            tables.append(class_table(*pair, title=f"By class of {name}"))
            tables += [replace(t, title=f"{t.title} of {name}") for t in confusion_table(*pair)]
        return tables

    def baselines(self, train: Sequence[Example], test: Sequence[Example]) -> dict[str, Scores]:
        """Score a class at random, and the most frequent one of each column of train."""
        columns = list(zip(*(example.answer for example in train), strict=True))
        frequent = tuple(Counter(sorted(column)).most_common(1)[0][0] for column in columns)
        return {
            "chance": {"accuracy": float(np.mean([1 / len(set(column)) for column in columns]))},
            "majority": self.score([frequent] * len(test), test),
        }


def labels_by_column(labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the labels of each column, in the order of the columns.

    Args:
      labels: the labels of a data set with several columns of labels.

    Returns:
      The labels by the name of their column.
    """
    columns: dict[str, tuple[str, ...]] = {}
    for label in labels:
        column, _, name = label.partition(BETWEEN)
        columns[column] = (*columns.get(column, ()), name)
    return columns


def _names(example: Example) -> tuple[str, ...]:
    """Return the names of the columns without what stands between a name and a label."""
    count = len(example.names or example.answer or ())
    names = example.names or tuple(f"label {number + 1}" for number in range(count))
    return tuple(name.replace(BETWEEN, "_").replace(";", "_").replace(":", "_") for name in names)


def _joined(column: str, label: str) -> str:
    return f"{column}{BETWEEN}{label}"


def _column(label: str) -> str:
    return label.partition(BETWEEN)[0]


def _pair(piece: str) -> tuple[str, str]:
    name, _, label = piece.partition(":")
    return name.strip().casefold(), label.strip()


def _of_column(
    answers: Sequence[Answer | None], examples: Sequence[Example], number: int
) -> tuple[list[str | None], list[str]]:
    given = [None if answer is None else answer[number] for answer in answers]
    return given, [example.answer[number] for example in examples]
