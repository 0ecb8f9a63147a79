"""Find the two entities of a relation, and mark them in their text.

The head stands between `@` and the tail between `#`, which every tokenizer knows: Zhou and Chen
2022, "An Improved Baseline for Sentence-level Relation Extraction", https://arxiv.org/abs/2102.01373.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fsl_jax.tasks.parts.row_reader import RowReader

HEAD_MARK, TAIL_MARK = "@", "#"

Span = tuple[int, int]
"""The first character and the one after the last."""

_MARKS = re.compile(r"</?e[12]>")
_STARTS = ("start", "start_char", "begin")
_ENDS = ("end", "end_char")
_POSITIONS = ("positions", "pos", "indices")


def mark(text: str, head: Span, tail: Span) -> str:
    """Write marks around two entities.

    Args:
      text: the text.
      head: the place of the head.
      tail: the place of the tail.

    Returns:
      The text with marks, and spaces between the marks and the entities.
    """
    marks = [
        (place, order, symbol)
        for (start, end), symbol in ((head, HEAD_MARK), (tail, TAIL_MARK))
        for place, order, symbol in ((start, 1, f"{symbol} "), (end, 0, f" {symbol}"))
    ]
    # At one place, what ends comes before what begins.
    for place, _, symbol in sorted(marks, key=lambda each: each[:2], reverse=True):
        text = text[:place] + symbol + text[place:]
    return text


def marked_already(text: str) -> tuple[str, Span, Span] | None:
    """Return a text without its marks `<e1>` … `</e2>`, and the places of both entities.

    Args:
      text: the text.

    Returns:
      The text and the places; None if it does not have each mark once.
    """
    places: dict[str, int] = {}
    removed = 0
    for match in _MARKS.finditer(text):
        if match[0] in places:
            return None
        places[match[0]] = match.start() - removed
        removed += len(match[0])
    if len(places) < 4:
        return None
    head, tail = ((places[f"<e{n}>"], places[f"</e{n}>"]) for n in (1, 2))
    plain = _MARKS.sub("", text)
    return (plain, head, tail) if head[0] < head[1] and tail[0] < tail[1] else None


def head_and_tail(reader: RowReader, text: str, words: Sequence[str] | None) -> tuple[Span, Span]:
    """Find both entities by what the columns `head` and `tail` say.

    Args:
      reader: the row, which notes what cannot be found.
      text: the text, which is the words with spaces between them if there are words.
      words: the words, if the text is given by words.

    Returns:
      The places of the head and of the tail in the text.
    """
    ends = [0]
    for word in words or ():
        ends.append(ends[-1] + len(word) + 1)
    found = []
    for role in ("head", "tail"):
        span = _span(reader.value(role), text, ends if words is not None else None)
        if span is None:
            reader.add("an entity that is not found in the text", role)
        found.append(span or (0, 0))
    return found[0], found[1]


def _span(value: Any, text: str, ends: Sequence[int] | None) -> Span | None:
    """Return the place of an entity that is given by its words, or by places.

    Args:
      value: the words; a mapping with the numbers of words, or the first and last place; or a list
        whose last member has the numbers of words.
      text: the text.
      ends: where each word starts; None if places are those of characters.
    """
    if isinstance(value, str):
        start = text.casefold().find(value.strip().casefold())
        return (start, start + len(value.strip())) if value.strip() and start >= 0 else None
    if isinstance(value, Mapping):
        positions = next((value[name] for name in _POSITIONS if name in value), None)
        if positions is None:
            first, after = (
                next((value[n] for n in names if n in value), None) for names in (_STARTS, _ENDS)
            )
            return _between(first, after, text, ends)
        value = positions
    # Numbers may stand in lists by mention; after the words and a name, they come last.
    while _is_list(value) and _is_list(value[-1]):
        value = value[0] if _is_list(value[0]) else value[-1]
    if not _is_list(value):
        return None
    if not all(isinstance(place, int) for place in value):
        return None
    return _between(min(value), max(value) + 1, text, ends)


def _between(start: Any, end: Any, text: str, ends: Sequence[int] | None) -> Span | None:
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end:
        return None
    if ends is not None:
        return (ends[start], ends[end] - 1) if end < len(ends) else None
    return (start, end) if end <= len(text) else None


def _is_list(value: Any) -> bool:
    """Return True for a list that has members."""
    return isinstance(value, list | tuple) and len(value) > 0
