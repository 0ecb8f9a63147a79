"""The tokens of words."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fsl_jax.formulations.offsets import Offsets, place_tokens

NO_PLACE = -1
"""The place of a word that has no token, or whose first token was cut off."""


class WordTokens(NamedTuple):
    """The tokens of the words of a text.

    Attributes:
      ids: the token ids, with the special tokens that the tokenizer adds.
      first: the place of the first token of each word; `NO_PLACE` if it has none.
      last: the place of the last token of each word; `NO_PLACE` if it has none.
      is_cut: True if tokens were cut off.
    """

    ids: list[int]
    first: list[int]
    last: list[int]
    is_cut: bool


def word_ranges(words: Sequence[str]) -> list[tuple[int, int]]:
    """Return where each word stands among words that are joined by single spaces.

    Args:
      words: the words.

    Returns:
      The first character of each word, and the one after its last.
    """
    ends = itertools.accumulate(len(word) + 1 for word in words)
    return [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]


def tokenize_words(
    tokenizer: Any, sentences: Sequence[Sequence[str]], limit: int
) -> list[WordTokens]:
    """Tokenize words joined by single spaces, as a text without marked words would be.

    Args:
      tokenizer: a fast tokenizer of Hugging Face.
      sentences: the words of each text, none of which is empty or has white space.
      limit: the largest number of tokens of a text, special tokens included. Longer ones are cut at
        their end, where special tokens stay.

    Returns:
      The tokens of each text. A word has no place if it was cut off, or if the tokenizer drops all
      of its characters, as BERT's does with control characters.

    Raises:
      InputError: as in `fsl_jax.models.tokenizing.tokenize`.
    """
    placed = place_tokens(tokenizer, [" ".join(words) for words in sentences])
    return [
        _cut(tokens.ids, tokens.added, word_tokens(words, tokens.offsets), limit)
        for words, tokens in zip(sentences, placed, strict=True)
    ]


def word_tokens(words: Sequence[str], offsets: Offsets) -> list[tuple[int, int]]:
    """Return the first and the last token that hold characters of each word.

    Args:
      words: the words of a text.
      offsets: the characters of each token.

    Returns:
      The tokens; `NO_PLACE` twice for a word of which no token holds a character.
    """
    ranges = word_ranges(words)
    count = ranges[-1][1] if ranges else 0
    first, last = np.full(count, len(offsets)), np.full(count, NO_PLACE)
    for token, (start, end) in enumerate(offsets):
        first[start:end] = np.minimum(first[start:end], token)
        last[start:end] = token
    return [
        (int(first[start:end].min()), int(last[start:end].max()))
        if last[start:end].max() != NO_PLACE
        else (NO_PLACE, NO_PLACE)
        for start, end in ranges
    ]


def _cut(
    ids: list[int], added: np.ndarray, tokens: Sequence[tuple[int, int]], limit: int
) -> WordTokens:
    """Leave out the last tokens of words that are above the limit."""
    excess = max(0, len(ids) - limit)
    left_out = np.flatnonzero(~added)[-excess:] if excess else np.array([], int)
    kept = np.delete(np.arange(len(ids)), left_out).tolist()
    place = {token: index for index, token in enumerate(kept)}
    first, last = ([place.get(word[end], NO_PLACE) for word in tokens] for end in (0, 1))
    return WordTokens([ids[token] for token in kept], first, last, excess > 0)
