"""Metrics of relations: F1 over those that hold."""

from collections.abc import Sequence

from fsl_jax.tasks.metrics.classes import class_counts, scores

NO_RELATION = frozenset(
    ("no_relation", "no relation", "none", "na", "n/a", "other", "no-relation", "false", "negative")
)
"""Names of the label that says that no relation holds, in lower case."""


def is_no_relation(label: str) -> bool:
    """Return True if a label says that no relation holds."""
    return label.casefold() in NO_RELATION


def relation_f1(answers: Sequence[str | None], correct: Sequence[str]) -> float:
    """Return micro F1 over all relations but "no relation", as is usual for TACRED.

    Args:
      answers: a label for each example; None for none.
      correct: the correct labels.

    Returns:
      F1; that of all labels, if none says "no relation". 0 if no relation is there or answered.
    """
    counts = class_counts(answers, correct)
    kept = [each for label, each in counts.items() if not is_no_relation(label)]
    return scores(*map(sum, zip(*kept, strict=True)))[2] if kept else 0.0
