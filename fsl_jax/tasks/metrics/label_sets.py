"""Metrics of several labels a text: micro and macro F1, and the share of sets that are right."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fsl_jax.tasks.metrics.classes import scores

Sets = Sequence[Sequence[str]]


def label_counts(
    answers: Sequence[Sequence[str] | None], correct: Sets
) -> dict[str, tuple[int, int, int]]:
    """Count for each label how often it was rightly given, given, and correct.

    Args:
      answers: the labels that were given to each example; None for none.
      correct: the correct labels of each example.

    Returns:
      The three counts by label, sorted.
    """
    given: Counter[str] = Counter()
    held: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for answer, truth in zip(answers, correct, strict=True):
        given.update(set(answer or ()))
        held.update(set(truth))
        right.update(set(answer or ()) & set(truth))
    labels = sorted(given.keys() | held.keys())
    return {label: (right[label], given[label], held[label]) for label in labels}


def label_scores(answers: Sequence[Sequence[str] | None], correct: Sets) -> dict[str, float]:
    """Score sets of labels.

    Args:
      answers: the labels that were given to each example; None for an unreadable answer.
      correct: the correct labels of each example.

    Returns:
      `micro_f1` over all labels together, `macro_f1` as the mean over the labels that were given or
      correct somewhere, and `subset_accuracy`, the share of sets that are completely right.
    """
    counts = label_counts(answers, correct)
    sums = tuple(map(sum, zip(*counts.values(), strict=True))) if counts else (0, 0, 0)
    same = [a is not None and set(a) == set(c) for a, c in zip(answers, correct, strict=True)]
    return {
        "micro_f1": scores(*sums)[2],
        "macro_f1": float(np.mean([scores(*each)[2] for each in counts.values()] or [0.0])),
        "subset_accuracy": sum(same) / len(same),
    }
