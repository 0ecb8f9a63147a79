"""Metrics of classes: accuracy, macro F1, Matthews correlation, and tables by class."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from fsl_jax.tasks.task import Table

NONE = "(none)"
"""The class of answers that could not be read, which is no class of its own in averages."""

LARGEST_CONFUSION = 20
"""The largest number of classes for which a table of confusions is made."""


def accuracy(answers: Sequence[Any], correct: Sequence[Any]) -> float:
    """Return the share of answers that are right."""
    return sum(map(_same, answers, correct)) / len(correct)


def macro_f1(answers: Sequence[Any], correct: Sequence[Any]) -> float:
    """Return the mean F1 of the classes that are in answers or are correct somewhere.

    Args:
      answers: an answer to each example; None for none.
      correct: the correct answers.

    Returns:
      The mean, in which each class counts the same.
    """
    counts = class_counts(answers, correct)
    return float(np.mean([f1 for *_, f1 in (scores(*counts[label]) for label in counts)]))


def matthews(answers: Sequence[Any], correct: Sequence[Any]) -> float:
    """Return the Matthews correlation of answers and correct answers, of several classes too.

    Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation coefficient".

    Args:
      answers: an answer to each example; None counts as a class of its own.
      correct: the correct answers.

    Returns:
      The correlation; 0 where all answers or all correct answers are the same.
    """
    total, right = len(correct), sum(map(_same, answers, correct))
    given, held = Counter(answers), Counter(correct)
    covariance = right * total - sum(given[label] * held[label] for label in held)
    spread = [total**2 - sum(n * n for n in counts.values()) for counts in (given, held)]
    return covariance / float(np.sqrt(float(spread[0]) * spread[1])) if all(spread) else 0.0


def class_counts(answers: Sequence[Any], correct: Sequence[Any]) -> dict[Any, tuple[int, int, int]]:
    """Count for each class: right answers, answers, and correct answers.

    Args:
      answers: an answer to each example; None for none.
      correct: the correct answers.

    Returns:
      The three counts by class, sorted.
    """
    right = Counter(a for a, c in zip(answers, correct, strict=True) if a == c)
    given, held = Counter(answers), Counter(correct)
    classes = sorted((given.keys() | held.keys()) - {None})
    return {label: (right[label], given[label], held[label]) for label in classes}


def scores(right: int, given: int, held: int) -> tuple[float, float, float]:
    """Return precision, recall and F1; each is 0 where there is nothing to divide by.

    Args:
      right: the number of right answers.
      given: the number of answers.
      held: the number of correct answers.

    Returns:
      The three numbers.
    """
    precision = right / given if given else 0.0
    recall = right / held if held else 0.0
    return precision, recall, 2 * right / (given + held) if given + held else 0.0


def class_table(answers: Sequence[Any], correct: Sequence[Any], title: str = "By class") -> Table:
    """Make the table of precision, recall, F1 and support of each class."""
    return counts_table(class_counts(answers, correct), title, "class")


def counts_table(counts: dict[Any, tuple[int, int, int]], title: str, first: str) -> Table:
    """Make a table of precision, recall, F1 and support.

    Args:
      counts: right answers, answers, and correct answers of each line.
      title: the title.
      first: the name of the first column.

    Returns:
      The table.
    """
    columns = (first, "precision", "recall", "F1", "support")
    rows = [(str(name), *scores(*each), each[2]) for name, each in counts.items()]
    return Table(title, columns, tuple(rows))


def confusion_table(answers: Sequence[Any], correct: Sequence[Any]) -> list[Table]:
    """Make the table of how often each class was answered for each class.

    Args:
      answers: an answer to each example; None for none.
      correct: the correct answers.

    Returns:
      The table, whose rows are the correct classes; the most frequent confusions alone if there are
      many classes. None if there is nothing to show.
    """
    pairs = Counter(zip(correct, (NONE if a is None else a for a in answers), strict=True))
    classes = list(class_counts(answers, correct))
    if len(classes) <= LARGEST_CONFUSION:
        given = [*classes, NONE] if None in answers else classes
        rows = tuple((label, *(pairs[label, other] for other in given)) for label in classes)
        return [Table("Confusion", ("correct", *map(str, given)), rows)]
    wrong = sorted(((-n, *pair) for pair, n in pairs.items() if pair[0] != pair[1]))
    rows = tuple((c, a, -n) for n, c, a in wrong[:LARGEST_CONFUSION])
    return (
        [Table("Most frequent confusions", ("correct", "answered", "times"), rows)] if rows else []
    )


def _same(answer: Any, correct: Any) -> bool:
    return answer == correct
