"""Find texts that are almost the same, exactly and in little time."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

import regex

from fsl_jax.data.duplicates import normalized

SIMILARITY = 0.8
"""The Jaccard similarity of their words and pairs of words from which on two texts are alike."""

# A character of a script that puts no spaces between words is a word of its own.
_WORDS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}]|\w+")


def near_duplicates(texts: Iterable[str], others: Sequence[str]) -> list[tuple[int, int]]:
    """Find the texts that are almost the same as another text.

    Two texts are compared by the words and pairs of neighbouring words that both have, divided by
    those that one of them has. The result is exact: two sets can only be as alike as this if they
    share one of their rarest members, so only such texts are compared (Bayardo et al. 2007,
    "Scaling Up All Pairs Similarity Search"), and most texts are compared with none.

    Args:
      texts: texts, which may be many more than the others.
      others: the texts with which they are compared.

    Returns:
      The position of each text that has a near duplicate, and the position of the nearest one.
    """
    held = [_shingles(text) for text in others]
    frequency = Counter(shingle for shingles in held for shingle in shingles)
    index: dict[str, list[int]] = {}
    for position, shingles in enumerate(held):
        for shingle in _rarest(shingles, frequency):
            index.setdefault(shingle, []).append(position)
    pairs = []
    for position, text in enumerate(texts):
        shingles = _shingles(text)
        rarest = _rarest(shingles, frequency)
        candidates = {other for shingle in rarest for other in index.get(shingle, ())}
        if candidates and (nearest := _nearest(shingles, candidates, held)):
            pairs.append((position, nearest[1]))
    return pairs


def _shingles(text: str) -> frozenset[str]:
    words = _WORDS.findall(normalized(text))
    return frozenset((*words, *map(" ".join, itertools.pairwise(words))))


def _rarest(shingles: frozenset[str], frequency: Counter[str]) -> list[str]:
    """Return members of which at least one is in every set that is as alike, the rarest ones."""
    count = int((1 - SIMILARITY) * len(shingles) + 1e-9) + 1
    known = [shingle for shingle in shingles if shingle in frequency]
    # Those that no other text has are the rarest of all, and find nothing.
    count -= len(shingles) - len(known)
    return sorted(known, key=lambda each: (frequency[each], each))[:count] if count > 0 else []


def _nearest(
    shingles: frozenset[str], candidates: Iterable[int], held: Sequence[frozenset[str]]
) -> tuple[float, int] | None:
    alike = []
    for other in sorted(candidates):
        shared = len(shingles & held[other])
        similarity = shared / (len(shingles) + len(held[other]) - shared)
        if similarity >= SIMILARITY:
            alike.append((similarity, -other))
    if not alike:
        return None
    similarity, negative = max(alike)
    return similarity, -negative
