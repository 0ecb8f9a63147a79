"""Find the characters that each token of a text holds, for tokenizers of every family.

Tokenizers report offsets that differ by family. Some count the space before a word as part of its
first token. A token that stands for a space alone may claim the first character of the text. Where
a character is split into several tokens of bytes, each of them has all of it. Characters that are
dropped, such as accents and control characters, belong to no token. If the table of characters of a
SentencePiece model drops the first ones of a text, all offsets are too small by their number.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from fsl_jax.models.tokenizing import tokenize

Offsets = Int[np.ndarray, "T 2"]
"""The first character of each token, and the one after its last; the same for none."""

_SPACE_MARKS = "▁Ġ"
"""The marks of a space in tokens: that of SentencePiece, and that of byte-level tokens."""


class PlacedTokens(NamedTuple):
    """The tokens of a text with the characters that they hold.

    Attributes:
      ids: the token ids, with the special tokens that the tokenizer adds.
      offsets: the characters of each token, int32 `[T, 2]`; none for a special token.
      added: True for each token that the tokenizer adds, `[T]`.
    """

    ids: list[int]
    offsets: Offsets
    added: np.ndarray


def place_tokens(tokenizer: Any, texts: Sequence[str], **options: Any) -> list[PlacedTokens]:
    """Tokenize texts, and find the characters of each token.

    Every character but white space belongs to a token, unless the tokenizer drops all characters
    between two white spaces: a character that is dropped belongs to the token before it, or else to
    the one after it.

    Args:
      tokenizer: a fast tokenizer of Hugging Face.
      texts: texts, none of which is cut.
      options: further options of the tokenizer, such as `add_special_tokens`.

    Returns:
      The tokens of each text.

    Raises:
      InputError: as in `fsl_jax.models.tokenizing.tokenize`.
    """
    if not texts:
        return []

    def encodings(texts: Sequence[str]) -> Sequence[Any]:
        return tokenize(tokenizer, texts, verbose=False, **options).encodings

    placed = []
    for text, encoding in zip(texts, encodings(texts), strict=True):
        before, reported = _dropped_at_start(tokenizer, text), encoding.offsets
        if before:
            [rest] = encodings([text[before:]])
            if rest.ids == encoding.ids:
                reported = [(start + before, end + before) for start, end in rest.offsets]
        offsets = _exact(text, encoding.tokens, reported)
        added = np.array(encoding.special_tokens_mask, bool)
        placed.append(PlacedTokens(list(encoding.ids), offsets, added))
    return placed


def tokens_of_range(offsets: Offsets, start: int, end: int) -> range:
    """Return the tokens that hold characters of a range.

    Args:
      offsets: the characters of each token.
      start: the first character of the range.
      end: the character after its last one.

    Returns:
      The numbers of the tokens; an empty range if no token holds one of the characters.
    """
    found = np.flatnonzero(np.maximum(offsets[:, 0], start) < np.minimum(offsets[:, 1], end))
    return range(int(found[0]), int(found[-1]) + 1) if found.size else range(0)


def text_of_tokens(text: str, offsets: Offsets, first: int, last: int) -> str:
    """Return the part of a text that tokens hold.

    Args:
      text: the text.
      offsets: the characters of each of its tokens.
      first: the number of the first token.
      last: the number of the last token.

    Returns:
      The characters from the first to the last one that the tokens hold; empty if they hold none.
      For the tokens of a range it is that range, unless one of them holds characters outside too.
    """
    held = offsets[first : last + 1]
    held = held[held[:, 0] < held[:, 1]]
    return text[held[:, 0].min() : held[:, 1].max()] if held.size else ""


def _dropped_at_start(tokenizer: Any, text: str) -> int:
    """Count the characters at the start of which the tokenizer's normalizer leaves nothing."""
    normalizer = tokenizer.backend_tokenizer.normalizer
    if normalizer is None:
        return 0
    dropped = itertools.takewhile(
        lambda character: not character.isspace() and not normalizer.normalize_str(character), text
    )
    return sum(1 for _ in dropped)


def _exact(text: str, tokens: Sequence[str], reported: Sequence[tuple[int, int]]) -> Offsets:
    """Correct the offsets that a tokenizer reports."""
    trimmed = [_without_space(text, *offset) for offset in reported]
    held = np.array(_without_marks(tokens, trimmed), np.int32).reshape(-1, 2)
    is_held = np.zeros(len(text) + 1, bool)
    for start, end in held:
        is_held[start:end] = True
    for first, last in _dropped(text, is_held):
        _give_to_neighbours(held, is_held, first, last)
    return held


def _without_space(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave out white space at both ends."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _without_marks(
    tokens: Sequence[str], offsets: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Take the characters of tokens that stand for a space, if the next token has them too."""
    following = [*offsets, (0, 0)][1:]
    return [
        (start, start)
        if not token.strip(_SPACE_MARKS) and other[0] <= start < other[1]
        else (start, end)
        for token, (start, end), other in zip(tokens, offsets, following, strict=True)
    ]


def _dropped(text: str, is_held: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the ranges of characters that no token holds and that have no white space."""
    start = None
    for place, character in enumerate(text + " "):
        if is_held[place] or character.isspace():
            if start is not None:
                yield start, place
            start = None
        elif start is None:
            start = place


def _give_to_neighbours(held: np.ndarray, is_held: np.ndarray, first: int, last: int) -> None:
    """Give characters to the tokens that end before them, or else to those that follow."""
    is_token = held[:, 0] < held[:, 1]
    if first > 0 and is_held[first - 1]:
        held[is_token & (held[:, 1] == first), 1] = last
    else:
        held[is_token & (held[:, 0] == last), 0] = first
