"""ROUGE of written texts by rouge-score."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

NAMES = {"rouge1": "rouge_1", "rouge2": "rouge_2", "rougeL": "rouge_l"}


def rouge(answers: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the mean F1 of ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004).

    Args:
      answers: a text for each example.
      references: the reference texts of each example; the one with the highest score counts.

    Returns:
      `rouge_1`, `rouge_2` and `rouge_l`, from 0 to 1. Words are not stemmed.
    """
    scored = [
        _scorer().score_multi(list(each), answer)
        for answer, each in zip(answers, references, strict=True)
    ]
    return {
        name: float(np.mean([each[key].fmeasure for each in scored])) for key, name in NAMES.items()
    }


@functools.cache
def _scorer() -> Any:
    # Takes seconds to import.
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(NAMES), tokenizer=_Words())


class _Words:
    """Divides texts of any script into words; that of the library drops all but Latin letters."""

    def tokenize(self, text: str) -> list[str]:
        """Return the words of a text in lower case."""
        import regex

        return regex.findall(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|[^\W_]+", text.lower())
