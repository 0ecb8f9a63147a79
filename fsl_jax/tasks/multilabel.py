"""Several labels a text: any number of a few labels, or none."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from fsl_jax.data.draws.covering import draw_covering
from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.tasks.metrics.classes import counts_table
from fsl_jax.tasks.metrics.label_sets import label_counts, label_scores
from fsl_jax.tasks.parts.label_text import NOTHING, find_labels
from fsl_jax.tasks.parts.row_reader import RowReader, value_of
from fsl_jax.tasks.parts.text_columns import TEXTS, find_texts
from fsl_jax.tasks.task import Columns, Metric, Roles, Scores, Table, Task, Values

NO_LABEL = ""
"""The name under which examples without a label count when few are drawn."""

_SEPARATORS = re.compile(r"[|;,]")
_YES = ("1", "1.0", "true", "yes")
_NO = ("0", "0.0", "false", "no", "")


class Multilabel(Task):
    """Says which of a few labels a text has; the answer is the sorted tuple of them.

    The labels are a list; or a text with `|`, `;` or `,` between them; or several columns with 0 or
    1, whose names are the labels.
    """

    name = "multilabel"
    description = "any number of a few labels for each text"
    roles: ClassVar[Roles] = {
        "text": TEXTS,
        "label": ("labels", "label", "tags", "topics", "categories", "genres", "emotions"),
        "identity": ("id", "idx", "guid"),
        "group": (),
    }
    optional = frozenset(("identity", "group"))
    texts = frozenset(("text",))
    metrics = (
        Metric("micro_f1", "micro F1"),
        Metric("macro_f1", "macro F1"),
        Metric("subset_accuracy", "subset accuracy"),
    )

    def find(self, columns: Sequence[str], rows: Sequence[Values]) -> dict[str, tuple[str, ...]]:
        """Find the columns; without a column of labels, all that have nothing but 0 and 1."""
        found = super().find(columns, rows)
        texts = find_texts(columns)
        if "label" not in found:
            switches = tuple(
                column
                for column in columns
                if column not in texts and all(_switch(row.get(column)) is not None for row in rows)
            )
            found |= {"label": switches} if len(switches) > 1 else {}
        return found | ({"text": texts} if texts else {})

    def recognises(self, rows: Sequence[Values], columns: Columns) -> bool:
        """Recognise lists of labels, and several columns of 0 and 1."""
        values = [[value_of(row, column) for column in columns["label"]] for row in rows]
        if len(columns["label"]) > 1:
            return all(_switch(value) is not None for row in values for value in row)
        lists = [value for (value,) in values if value is not None]
        return bool(lists) and all(
            isinstance(value, list | tuple) and all(isinstance(label, str | int) for label in value)
            for value in lists
        )

    def read(self, row: Values, columns: Columns) -> Example:
        """Read the texts and the labels."""
        reader = RowReader(row, columns)
        parts = reader.texts("text")
        return reader.example(parts, tuple(sorted(set(_labels(reader)))))

    def labels_in(self, example: Example) -> tuple[str, ...]:
        """Return the labels."""
        return example.answer or ()

    def renamed(self, example: Example, names: Mapping[str, str]) -> Example:
        """Give labels other names."""
        renamed = {names.get(label, label) for label in example.answer}
        return replace(example, answer=tuple(sorted(renamed)))

    def draw(self, dataset: Dataset, shots: int, seed: int) -> Split:
        """Draw as few examples as have each label K times; those without any count as a label."""
        return draw_covering(
            dataset, shots, seed, lambda example: frozenset(example.answer or (NO_LABEL,))
        )

    def written(self, example: Example) -> str:
        """Write the labels with `; ` between them."""
        return "; ".join(example.answer) or NOTHING

    def parse(
        self, text: str, example: Example, labels: Sequence[str] = ()
    ) -> tuple[str, ...] | None:
        """Read the labels between semicolons, or else all that a text names."""
        pieces = [piece for each in text.split(";") if (piece := each.strip())]
        if not labels:
            return None if not pieces else tuple(sorted(set(pieces) - {NOTHING}))
        if pieces and set(pieces) <= set(labels):
            return tuple(sorted(set(pieces)))
        found = find_labels(text, labels)
        if not found and find_labels(text, [NOTHING]):
            return ()
        return tuple(sorted(found)) if found else None

    def score(
        self, answers: Sequence[tuple[str, ...] | None], examples: Sequence[Example]
    ) -> Scores:
        """Return micro and macro F1 and the share of sets that are right."""
        return label_scores(answers, [example.answer for example in examples])

    def details(
        self, answers: Sequence[tuple[str, ...] | None], examples: Sequence[Example]
    ) -> list[Table]:
        """Return precision, recall and F1 by label."""
        counts = label_counts(answers, [example.answer for example in examples])
        return [counts_table(counts, "By label", "label")]

    def baselines(self, train: Sequence[Example], test: Sequence[Example]) -> dict[str, Scores]:
        """Score all labels for each text, and the most frequent set of train."""
        sets = Counter(sorted(example.answer for example in train))
        return {
            "all labels": self.score([self.labels(train)] * len(test), test),
            "majority": self.score([sets.most_common(1)[0][0]] * len(test), test),
        }


def _switch(value: Any) -> bool | None:
    """Return what 0 or 1, true or false says; None for another value."""
    text = str(value).strip().lower() if isinstance(value, str | int | float) else None
    return True if text in _YES else False if text in _NO else None


def _labels(reader: RowReader) -> list[str]:
    columns = reader.columns["label"]
    if len(columns) > 1:
        return [column for column in columns if _is_on(reader, column)]
    value = reader.value("label")
    if isinstance(value, str):
        return [label for each in _SEPARATORS.split(value) if (label := each.strip())]
    if not isinstance(value, list | tuple):
        reader.add("no list of labels", "label")
        return []
    return [reader.label_of(label, columns[0]) for label in value]


def _is_on(reader: RowReader, column: str) -> bool:
    found = _switch(value_of(reader.row, column))
    if found is None:
        reader.problems.append(f"neither 0 nor 1 in column {column!r}")
    return bool(found)
