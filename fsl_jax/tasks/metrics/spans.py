"""Metrics of answers to questions: exact match and F1 of words, by the rules of SQuAD.

Rajpurkar et al. 2016 (https://arxiv.org/abs/1606.05250) and 2018 (https://arxiv.org/abs/1806.03822).
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

from fsl_jax.tasks.metrics.classes import scores

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def plain_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation and English articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def exact_match(answer: str, references: Sequence[str]) -> float:
    """Return 1 if the words of an answer are those of a reference, else 0.

    Args:
      answer: the answer; empty for "there is no answer".
      references: the correct answers; none if the question has no answer.

    Returns:
      1 or 0.
    """
    given = plain_words(answer)
    return float(any(given == plain_words(reference) for reference in _usable(references)))


def word_f1(answer: str, references: Sequence[str]) -> float:
    """Return the F1 of the words of an answer, against the reference for which it is highest.

    Args:
      answer: the answer; empty for "there is no answer".
      references: the correct answers; none if the question has no answer.

    Returns:
      A number from 0 to 1; without words on one side, 1 if both have none, else 0.
    """
    return max(_f1(plain_words(answer), plain_words(each)) for each in _usable(references))


def _usable(references: Sequence[str]) -> Sequence[str]:
    """Leave out references of which no word is left, unless there are no others."""
    return [each for each in references if plain_words(each)] or [""]


def _f1(given: list[str], held: list[str]) -> float:
    if not given or not held:
        return float(given == held)
    right = (Counter(given) & Counter(held)).total()
    return scores(right, len(given), len(held))[2]
