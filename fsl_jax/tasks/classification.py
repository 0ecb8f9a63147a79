"""Classification: each text, or pair of texts, has one of a few classes."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from fsl_jax.data.draws.by_class import draw_by_class
from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.tasks.metrics.classes import (
    accuracy,
    class_table,
    confusion_table,
    macro_f1,
    matthews,
)
from fsl_jax.tasks.parts.label_text import find_label
from fsl_jax.tasks.parts.row_reader import RowReader, value_of
from fsl_jax.tasks.parts.text_columns import TEXTS, find_texts
from fsl_jax.tasks.task import Columns, Metric, Roles, Scores, Table, Task, Values

CLASS_NAMES = ("label", "labels", "class", "category", "intent", "sentiment", "topic", "label_text")
"""Names of columns that hold classes, whatever these look like."""

LABELS = (
    *CLASS_NAMES,
    *("gold_label", "target", "coarse_label", "stars", "rating", "is_duplicate", "y", "answer"),
)
"""Usual names of the column of labels."""


class Classification(Task):
    """Says which one of a few classes a text has; the answer is its label.

    Several columns of texts are parts by their names, such as `premise` and `hypothesis`.
    """

    name = "classification"
    description = "one of a few classes for each text or pair of texts"
    roles: ClassVar[Roles] = {
        "text": TEXTS,
        "label": LABELS,
        "identity": ("id", "idx", "guid"),
        "group": (),
    }
    optional = frozenset(("identity", "group"))
    texts = frozenset(("text",))
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", "accuracy"),
        Metric("macro_f1", "macro F1"),
        Metric("matthews", "Matthews correlation", is_share=False),
    )

    def find(self, columns: Sequence[str], rows: Sequence[Values]) -> dict[str, tuple[str, ...]]:
        """Find the columns, of which two may be texts."""
        found = super().find(columns, rows)
        texts = find_texts(columns)
        return found | ({"text": texts} if texts else {})

    def recognises(self, rows: Sequence[Values], columns: Columns) -> bool:
        """Recognise texts, and labels that are called so or of which some come again."""
        if len(columns["label"]) > 1:
            return False
        labels = [value_of(row, columns["label"][0]) for row in rows]
        known = [label for label in labels if label is not None]
        return (
            all(isinstance(value_of(row, c), str | None) for row in rows for c in columns["text"])
            and all(isinstance(label, str | int) for label in known)
            and (columns["label"][0].casefold() in CLASS_NAMES or are_classes(known))
            and bool(known)
        )

    def read(self, row: Values, columns: Columns) -> Example:
        """Read the texts and the label."""
        reader = RowReader(row, columns)
        parts = reader.texts("text")
        return reader.example(parts, reader.label("label"))

    def labels_in(self, example: Example) -> tuple[str, ...]:
        """Return the class."""
        return () if example.answer is None else (example.answer,)

    def renamed(self, example: Example, names: Mapping[str, str]) -> Example:
        """Give the class another name."""
        return replace(example, answer=names.get(example.answer, example.answer))

    def stratum(self, example: Example) -> Hashable:
        """Return the class."""
        return example.answer

    def problems(self, labels: Sequence[str]) -> list[str]:
        """Ask for two classes."""
        return (
            [] if len(labels) > 1 else [f"train has {len(labels)} classes, at least 2 are needed"]
        )

    def draw(self, dataset: Dataset, shots: int, seed: int) -> Split:
        """Draw K examples of each class."""
        return draw_by_class(dataset, shots, seed)

    def written(self, example: Example) -> str:
        """Write the label."""
        return example.answer

    def parse(self, text: str, example: Example, labels: Sequence[str] = ()) -> str | None:
        """Read the label that a text is, or that it names first."""
        return find_label(text, labels)

    def score(self, answers: Sequence[str | None], examples: Sequence[Example]) -> Scores:
        """Return accuracy, macro F1 and the Matthews correlation."""
        correct = [example.answer for example in examples]
        return {
            "accuracy": accuracy(answers, correct),
            "macro_f1": macro_f1(answers, correct),
            "matthews": matthews(answers, correct),
        }

    def details(self, answers: Sequence[str | None], examples: Sequence[Example]) -> list[Table]:
        """Return precision, recall and F1 by class, and confusions."""
        correct = [example.answer for example in examples]
        return [class_table(answers, correct), *confusion_table(answers, correct)]

    def baselines(self, train: Sequence[Example], test: Sequence[Example]) -> dict[str, Scores]:
        """Score a class at random, and the most frequent one of train."""
        classes = Counter(sorted(example.answer for example in train))
        frequent = classes.most_common(1)[0][0]
        return {
            "chance": {"accuracy": 1 / len(classes)},
            "majority": self.score([frequent] * len(test), test),
        }


def are_classes(labels: Sequence[Hashable]) -> bool:
    """Return True if labels look like classes: short, and some of them come again."""
    distinct = set(labels)
    short = all(not isinstance(label, str) or len(label) <= LONGEST_LABEL for label in distinct)
    return bool(labels) and short and len(distinct) <= max(2, len(labels) // 2)


LONGEST_LABEL = 80
"""The largest number of characters of what looks like a label."""
