"""Requests: how probable is a continuation after a context?

Which tokens belong to the continuation is defined as in lm-evaluation-harness 0.4.13: they are the
tokens of context and continuation together, without as many as the context alone has. White space
at the end of a context is moved to the continuation first, since many tokenizers join it with the
word that follows.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from fsl_jax.errors import brief, problems_error
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tokenizing import tokenize

_BATCH = 1024
"""The number of texts to tokenise at a time."""


@dataclasses.dataclass(frozen=True)
class Request:
    """A continuation whose probability after a context is asked for.

    Attributes:
      context: a text, or token ids, which are taken as they are and kept as a tuple. After an empty
        text, the continuation is the beginning of a text.
      continuation: a text, or token ids.
    """

    context: str | Sequence[int]
    continuation: str | Sequence[int]

    def __post_init__(self):
        # Requests are keys, which lists, such as tokenizers return, could not be.
        for name in ("context", "continuation"):
            value = getattr(self, name)
            if not isinstance(value, str):
                object.__setattr__(self, name, tuple(value))


@dataclasses.dataclass(frozen=True)
class RequestTokens:
    """The tokens of a request.

    Attributes:
      context: the token ids that the model reads first, at least one.
      continuation: the token ids to be scored, at least one.
      left_out: the number of tokens at the start of the context that the model has no room for.
    """

    context: tuple[int, ...]
    continuation: tuple[int, ...]
    left_out: int = 0


class _Text(NamedTuple):
    """A text to tokenise, with the tokens that the tokenizer adds to texts or without."""

    text: str
    special: bool


_Part = _Text | tuple[int, ...]


def tokenize_requests(
    pretrained: Pretrained,
    requests: Iterable[Request],
    max_length: int,
    max_continuation: int | None = None,
) -> list[RequestTokens]:
    """Tokenise requests; where one is too long, leave out the start of its context.

    A decoder reads all tokens but the last one of the continuation. The encoder of an
    encoder-decoder reads the context, and its decoder the continuation, which is then tokenised on
    its own.

    Args:
      pretrained: a language model.
      requests: the requests; equal ones are tokenised once.
      max_length: the largest number of tokens that the model reads.
      max_continuation: the largest number of tokens of a continuation; by default `max_length`.

    Returns:
      The tokens of each request.

    Raises:
      InputError: a continuation has no tokens, or more than the model reads; a context has no
        tokens; or there are tokens that the model does not embed.
    """
    requests = list(requests)
    seams = _Seams(pretrained)
    first: dict[Request, int] = {}
    for number, request in enumerate(requests):
        first.setdefault(request, number)
    parts = {request: seams.parts(request) for request in first}
    ids = _tokenize(pretrained.tokenizer, (part for pair in parts.values() for part in pair))
    most = max_length if max_continuation is None else max_continuation
    tokens, problems = {}, []
    for request, number in first.items():
        whole = RequestTokens(*seams.divide(request, *(ids[part] for part in parts[request])))
        if problem := _problem(whole, pretrained.config.vocab_size, most):
            problems.append(f"request {number}, {_named(request)}: {problem}")
        tokens[request] = _cut(whole, max_length, seams.joined)
    if problems:
        raise problems_error(f"{pretrained.name} cannot score these requests:", problems)
    return [tokens[request] for request in requests]


class _Seams:
    """Decides where the continuation begins, for one model.

    Attributes:
      joined: whether one sequence has the tokens of context and continuation, as in a decoder.
    """

    def __init__(self, pretrained: Pretrained):
        tokenizer: Any = pretrained.tokenizer
        self.joined = not pretrained.config.is_encoder_decoder
        first = tokenizer.bos_token_id
        self._first = tokenizer.eos_token_id if first is None else first
        self._first_text = None if self._first is None else tokenizer.decode(self._first)

    def parts(self, request: Request) -> tuple[_Part, _Part]:
        """Return what to tokenise: the context, and the continuation or both together."""
        context, continuation = request.context, request.continuation
        apart: _Part = (
            _Text(continuation, False) if isinstance(continuation, str) else tuple(continuation)
        )
        if not isinstance(context, str):
            return tuple(context), apart
        if not context or not isinstance(continuation, str):
            return self._text(context) if context else (), apart
        kept = context.rstrip()
        continuation = context[len(kept) :] + continuation
        after = self._text(kept + continuation) if self.joined else _Text(continuation, False)
        return self._text(kept), after

    def divide(
        self, request: Request, context: tuple[int, ...], other: tuple[int, ...]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the tokens of context and continuation, from those of `parts`."""
        texts = isinstance(request.context, str) and isinstance(request.continuation, str)
        if texts and request.context and self.joined:
            return context, other[len(context) :]
        if request.context != "" or self._first is None:
            return context, other
        # A beginning-of-sequence token that the continuation brings along is not scored.
        return (self._first,), other[1:] if other[:1] == (self._first,) else other

    def _text(self, text: str) -> _Text:
        brings_first = self._first_text is not None and text.startswith(self._first_text)
        return _Text(text, special=not brings_first)


def _tokenize(tokenizer: Any, parts: Iterable[_Part]) -> dict[_Part, tuple[int, ...]]:
    """Return the token ids of each part; ids stand for themselves."""
    parts = dict.fromkeys(parts)
    found: dict[_Part, tuple[int, ...]] = {
        part: part for part in parts if not isinstance(part, _Text)
    }
    for special in (True, False):
        texts = [part for part in parts if isinstance(part, _Text) and part.special is special]
        for some in _batches(texts):
            # Not verbose: long requests are cut here.
            options = {"add_special_tokens": special, "verbose": False}
            encoded = tokenize(tokenizer, [part.text for part in some], **options)["input_ids"]
            found |= zip(some, map(tuple, encoded), strict=True)
    return found


def _batches(texts: list[_Text]) -> Iterator[list[_Text]]:
    for first in range(0, len(texts), _BATCH):
        yield texts[first : first + _BATCH]


def _cut(tokens: RequestTokens, max_length: int, joined: bool) -> RequestTokens:
    """Keep the last tokens that the model reads; the last one of a continuation is not read."""
    room = max_length + 1 - len(tokens.continuation) if joined else max_length
    left_out = max(len(tokens.context) - room, 0)
    return dataclasses.replace(tokens, context=tokens.context[left_out:], left_out=left_out)


def _problem(tokens: RequestTokens, rows: int, most: int) -> str:
    """Return what is wrong with a request's tokens; empty if nothing is."""
    if not tokens.continuation:
        return "the continuation has no tokens of its own. Give one that adds a token"
    if not tokens.context:
        return (
            "the context has no tokens. Give a text that is not white space alone, or token ids; "
            "an empty text serves where the tokenizer has a token that begins or ends texts"
        )
    if len(tokens.continuation) > most:
        return (
            f"the continuation has {len(tokens.continuation)} tokens, and the model reads at most "
            f"{most}. Shorten it"
        )
    unknown = [token for token in tokens.context + tokens.continuation if not 0 <= token < rows]
    if unknown:
        return f"the token id {unknown[0]} is none of the {rows} that the model embeds"
    return ""


def _named(request: Request) -> str:
    context = request.context
    shown = context if len(context) <= 40 else context[-40:]
    return f"{brief(request.continuation)} after {brief(shown)}"
