"""Regression: a number for each text, or for each pair of texts, such as their similarity."""

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from fsl_jax.data.draws.at_random import draw_at_random
from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.tasks.metrics.correlation import number_scores
from fsl_jax.tasks.parts.row_reader import RowReader, value_of
from fsl_jax.tasks.parts.text_columns import TEXTS, find_texts
from fsl_jax.tasks.task import Columns, Metric, Roles, Scores, Table, Task, Values

FEW = 20
"""The largest number of different whole numbers that look like classes."""

_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?")


class Regression(Task):
    """Gives a text, or two texts, a number; the answer is a float."""

    name = "regression"
    description = "a number for each text or pair of texts"
    roles: ClassVar[Roles] = {
        "text": TEXTS,
        "number": ("score", "similarity", "similarity_score", "relatedness_score", "label")
        + ("rating", "stars", "value", "target"),
        "identity": ("id", "idx", "guid"),
        "group": (),
    }
    optional = frozenset(("identity", "group"))
    texts = frozenset(("text",))
    metrics = (
        Metric("pearson", "Pearson correlation", is_share=False),
        Metric("spearman", "Spearman correlation", is_share=False),
        Metric("rmse", "root mean square error", is_share=False, higher_is_better=False),
    )

    def find(self, columns: Sequence[str], rows: Sequence[Values]) -> dict[str, tuple[str, ...]]:
        """Find the columns, of which two may be texts."""
        texts = find_texts(columns)
        return super().find(columns, rows) | ({"text": texts} if texts else {})

    def recognises(self, rows: Sequence[Values], columns: Columns) -> bool:
        """Recognise numbers with fractions, and many different whole numbers."""
        values = [value_of(row, columns["number"][0]) for row in rows]
        given = [_float(value) for value in values if value not in (None, "")]
        numbers = [number for number in given if number is not None]
        if not given or len(numbers) < len(given):
            return False
        fractions = any(isinstance(v, float) for v in values) or any(n % 1 for n in numbers)
        return fractions or len(set(numbers)) > max(FEW, len(numbers) // 10)

    def read(self, row: Values, columns: Columns) -> Example:
        """Read the texts and the number."""
        reader = RowReader(row, columns)
        parts = reader.texts("text")
        return reader.example(parts, reader.number("number"))

    def draw(self, dataset: Dataset, shots: int, seed: int) -> Split:
        """Draw K examples at random."""
        return draw_at_random(dataset, shots, seed)

    def written(self, example: Example) -> str:
        """Write the number with all its digits, whole numbers without a point."""
        text = repr(float(example.answer))
        return text.removesuffix(".0")

    def parse(self, text: str, example: Example, labels: Sequence[str] = ()) -> float | None:
        """Read the first number of a text."""
        found = _NUMBER.search(text)
        number = float(found[0]) if found else math.nan
        return number if math.isfinite(number) else None

    def score(self, answers: Sequence[float | None], examples: Sequence[Example]) -> Scores:
        """Return both correlations and the error; no answer counts as the one farthest off."""
        correct = [example.answer for example in examples]
        return number_scores(_filled(answers, correct), correct)

    def details(self, answers: Sequence[float | None], examples: Sequence[Example]) -> list[Table]:
        """Return the error in each fifth of the correct numbers, from the lowest to the highest."""
        held = [example.answer for example in examples]
        given, correct = np.array(_filled(answers, held)), np.array(held)
        fifths = np.array_split(np.argsort(correct, kind="stable"), min(5, len(correct)))
        rows = tuple(
            (
                f"{correct[part].min():g} to {correct[part].max():g}",
                float(given[part].mean()),
                float(np.abs(given[part] - correct[part]).mean()),
                len(part),
            )
            for part in fifths
        )
        return [Table("By number", ("number", "mean answer", "mean error", "support"), rows)]

    def baselines(self, train: Sequence[Example], test: Sequence[Example]) -> dict[str, Scores]:
        """Score the mean of train as the answer to each text."""
        mean = float(np.mean([example.answer for example in train]))
        return {"mean": self.score([mean] * len(test), test)}


def _float(value: Any) -> float | None:
    try:
        number = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number is not None and math.isfinite(number) else None


def _filled(answers: Sequence[float | None], correct: Sequence[float]) -> list[float]:
    """Put in place of no answer the correct number of any example that is farthest from its own."""
    ends = (min(correct), max(correct))
    return [
        float(max(ends, key=lambda end: abs(end - own)) if answer is None else answer)
        for answer, own in zip(answers, correct, strict=True)
    ]
