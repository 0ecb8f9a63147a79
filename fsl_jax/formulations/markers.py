"""The two marked entities of a text: where they stand, and how a long text is cut around them."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fsl_jax.data.examples import TEXT, Example
from fsl_jax.errors import brief, problems_error
from fsl_jax.formulations.offsets import PlacedTokens, place_tokens, tokens_of_range
from fsl_jax.tasks.parts.marked_entities import HEAD_MARK, TAIL_MARK
from fsl_jax.tasks.relation import HEAD, TAIL

Ends = tuple[int, int]
"""The place of the mark at the start of an entity, and that of the mark at its end."""


class MarkedTokens(NamedTuple):
    """The tokens of a text with two marked entities.

    Attributes:
      ids: the token ids, with the special tokens that the tokenizer adds.
      head: the tokens of the marks of the head.
      tail: the tokens of the marks of the tail.
      is_cut: True if tokens were cut off.
    """

    ids: list[int]
    head: Ends
    tail: Ends
    is_cut: bool


def tokenize_marked(tokenizer: Any, examples: Sequence[Example], limit: int) -> list[MarkedTokens]:
    """Tokenize texts with two marked entities, and find the tokens of the marks.

    Args:
      tokenizer: a fast tokenizer of Hugging Face.
      examples: examples with the parts `text`, `head` and `tail`.
      limit: the largest number of tokens of a text, special tokens included. Of longer ones, what
        stands farthest from both entities is cut, but nothing between them if they fit.

    Returns:
      The tokens of each text.

    Raises:
      InputError: texts lack marks around their entities, or the limit leaves no room for a mark of
        each; the error lists all.
    """
    placed = place_tokens(tokenizer, [example.parts[TEXT] for example in examples])
    found = [_marked(*pair, limit) for pair in zip(examples, placed, strict=True)]
    problems = [
        f"{brief(example.parts[TEXT])}: {problem}"
        for example, problem in zip(examples, found, strict=True)
        if isinstance(problem, str)
    ]
    if problems:
        raise problems_error(
            f"the head must stand between two {HEAD_MARK} and the tail between two {TAIL_MARK}, as "
            "the task relation writes them; in these texts they cannot be read:",
            problems,
        )
    return [tokens for tokens in found if isinstance(tokens, MarkedTokens)]


def _marked(example: Example, placed: PlacedTokens, limit: int) -> MarkedTokens | str:
    """Return the tokens of a text, or what is wrong with it."""
    entities = {name: example.parts.get(name, "") for name in (HEAD, TAIL)}
    ends = _marks(example.parts[TEXT], *entities.values())
    if not ends:
        named = " and ".join(f"{name} {brief(entity)}" for name, entity in entities.items())
        return f"no marks around {named}"
    head, tail = (_tokens(placed, each) for each in ends)
    if not (head and tail):
        return "the tokenizer drops the marks"
    return _cut(placed, head, tail, limit) or f"{limit} tokens are too few for both entities"


def _marks(text: str, head: str, tail: str) -> list[Ends]:
    """Return the places of the marks of the head and of the tail; nothing if any is missing."""
    found = (_ends(text, head, HEAD_MARK, TAIL_MARK), _ends(text, tail, TAIL_MARK, HEAD_MARK))
    ends = [each for each in found if each]
    return ends if len(ends) == len(found) else []


def _ends(text: str, entity: str, mark: str, other: str) -> Ends | None:
    """Return the places of the marks around an entity, in which the other one may begin or end."""
    whole = f"{mark} {entity} {mark}"
    start = text.find(whole)
    if start >= 0:
        return start, start + len(whole) - 1
    inside = f"(?:{other} | {other})?"
    pattern = f"{mark} {inside}{inside.join(map(re.escape, entity))}{inside} {mark}"
    match = re.search(pattern, text)
    return (match.start(), match.end() - 1) if match else None


def _tokens(placed: PlacedTokens, ends: Ends) -> Ends | None:
    """Return the tokens of two marks; None if one of them has none."""
    first, last = (tokens_of_range(placed.offsets, place, place + 1) for place in ends)
    return (first[0], last[-1]) if first and last else None


def _cut(placed: PlacedTokens, head: Ends, tail: Ends, limit: int) -> MarkedTokens | None:
    """Keep the tokens nearest to the entities; None if the marks do not fit."""
    count = len(placed.ids)
    own = np.flatnonzero(~placed.added)
    room = limit - (count - len(own))
    kept = np.arange(count)
    if count > limit:
        between = (min(head[0], tail[0]), max(head[1], tail[1]))
        marks = [(place, place) for place in (*head, *tail)]
        for ranges in ([between], [head, tail], marks):
            distance = np.min([_distance(own, *each) for each in ranges], axis=0)
            if np.sum(distance == 0) <= room:
                break
        else:
            return None
        nearest = own[np.argsort(distance, kind="stable")[:room]]
        kept = np.sort(np.concatenate([np.flatnonzero(placed.added), nearest]))
    place = {token: index for index, token in enumerate(kept.tolist())}
    ends = [(place[first], place[last]) for first, last in (head, tail)]
    return MarkedTokens([placed.ids[token] for token in kept], ends[0], ends[1], count > limit)


def _distance(tokens: np.ndarray, first: int, last: int) -> np.ndarray:
    """Return how far tokens are from a range; 0 inside."""
    return np.maximum(np.maximum(first - tokens, tokens - last), 0)
