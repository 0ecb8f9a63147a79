"""Questions on long texts: overlapping windows of the text, each with the whole question."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from fsl_jax.formulations.offsets import PlacedTokens, place_tokens
from fsl_jax.formulations.pairs import PairFrame, pair_frame, plain_tokens
from fsl_jax.models.pretrained import Pretrained


class Window(NamedTuple):
    """A question with a part of its context, as a segment.

    Attributes:
      ids: the token ids.
      place: the place of the first token of the context.
      first: the number of that token in the whole context.
      size: the number of tokens of the context.
    """

    ids: list[int]
    place: int
    first: int
    size: int


class Windows(NamedTuple):
    """The windows of a question, which share tokens with their neighbours.

    Attributes:
      windows: the windows, at least one.
      context: the tokens of the whole context.
      is_cut: True if the question was cut.
    """

    windows: list[Window]
    context: PlacedTokens
    is_cut: bool


def make_windows(
    pretrained: Pretrained,
    questions: Sequence[str],
    contexts: Sequence[str],
    limit: int,
    overlap: int,
) -> list[Windows]:
    """Make the windows of questions on contexts.

    Args:
      pretrained: the model.
      questions: E questions. Those that leave less than half of the tokens to a context are cut.
      contexts: the context of each question.
      limit: the largest number of tokens of a window.
      overlap: the largest number of tokens that two neighbouring windows share; never more than
        half of what a window has of the context.

    Returns:
      The windows of each question.

    Raises:
      InputError: the limit leaves no room, or as in `fsl_jax.models.tokenizing.tokenize`.
    """
    frame = pair_frame(pretrained)
    unique = list(dict.fromkeys(contexts))
    placed = place_tokens(pretrained.tokenizer, unique, add_special_tokens=False)
    context_of = dict(zip(unique, placed, strict=True))
    asked = plain_tokens(pretrained, [question + frame.line_end for question in questions])
    room = frame.room(limit)
    most = room // 2
    return [
        Windows(
            _windows(frame, question[:most], context_of[context].ids, room, overlap),
            context_of[context],
            len(question) > most,
        )
        for question, context in zip(asked, contexts, strict=True)
    ]


def _windows(
    frame: PairFrame, question: list[int], context: list[int], room: int, overlap: int
) -> list[Window]:
    """Return windows from the beginning of a context to its end."""
    size = room - len(question)
    step = size - min(overlap, size // 2)
    place = len(frame.before) + len(question) + len(frame.between)
    windows = []
    for first in itertools.count(0, step):
        part = context[first : first + size]
        windows.append(Window(frame.join(question, part), place, first, len(part)))
        if first + size >= len(context):
            return windows
    raise AssertionError("an endless count ends")
