"""The formulation `span_head`: a linear layer that scores where an answer starts and ends."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.errors import brief, problems_error
from fsl_jax.formulations.heads.place_head import PLACES, PlaceHead, rows_of
from fsl_jax.formulations.objectives.spans import NONE, SpanLogits, SpanObjective, Spans
from fsl_jax.formulations.offsets import text_of_tokens, tokens_of_range
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.formulations.windows import Window, make_windows
from fsl_jax.packing.batch import Batch
from fsl_jax.tasks.question_answering import CONTEXT, QUESTION, Answers

TOKENS = "tokens"
"""The feature: the numbers of the context's tokens at the places, as in `SpanLogits`."""


@dataclasses.dataclass(frozen=True, eq=False)
class SpanHead(PlaceHead):
    """Answers questions with a piece of their context, or not at all.

    A segment has the question before a window of the context, so that the tokens of a decoder,
    which see nothing after them, see the question. The null place, which stands for no answer, is
    the first token, and in a decoder the last one, which has seen the whole window.

    Attributes:
      pretrained: the model.
      overlap: the largest number of tokens that neighbouring windows share, at most half of them.
      longest: the largest number of tokens of an answer.
      may_be_silent: False if every question has an answer.
      max_length: windows have up to this many tokens; by default the limit of the model.
      reserved_positions: as in `TextHead`.
    """

    overlap: int = 128
    longest: int = 30
    may_be_silent: bool = True
    name: ClassVar[str] = "span_head"
    labels = ()
    """None, since each question has its own answers."""

    @property
    def outputs_size(self) -> int:
        """2, the scores of a start and of an end."""
        return 2

    @property
    def objective(self) -> SpanObjective:
        """The cross-entropies of the start and the end, and the F1 of tokens."""
        return SpanObjective(self.longest, self.may_be_silent)

    def tokenize(self, examples: Sequence[Example], *, answered: bool = False) -> Tokenized:
        """Tokenise questions, each with the windows of its context.

        Args:
          examples: E examples with a question and a context.
          answered: not used, since answers are no tokens.

        Returns:
          A segment for each window. Examples count as truncated if their question was cut.

        Raises:
          InputError: the limit leaves no room for two texts, or a text has a token
            that the model does not embed.
        """
        questions, contexts = ([e.parts[name] for e in examples] for name in (QUESTION, CONTEXT))
        found = make_windows(self.pretrained, questions, contexts, self.limit, self.overlap)
        windows = [(window, each) for each in found for window in each.windows]
        tokens = [window.ids for window, _ in windows]
        counts = np.array([len(each.windows) for each in found], np.int32)
        texts = np.repeat(np.array([e.text for e in examples], object), counts)
        self.require_rows(texts, tokens)
        features = {
            PLACES: rows_of([self._places(window) for window, _ in windows]),
            TOKENS: rows_of([_numbers(window, each.context.offsets) for window, each in windows]),
        }
        cut = sum(each.is_cut for each in found)
        return Tokenized(tokens, cut, counts, features, [each.context.offsets for each in found])

    def _places(self, window: Window) -> list[int]:
        """Return the null place, and the places of the context's tokens."""
        null = len(window.ids) - 1 if self.pretrained.config.is_decoder else 0
        return [null, *range(window.place, window.place + window.size)]

    def targets(self, examples: Sequence[Example], tokenized: Tokenized) -> Spans:
        """Return the tokens of the correct answers, `[E, G]`.

        Raises:
          InputError: answers are not in the context; the error lists all.
        """
        pairs = list(zip(examples, tokenized.offsets, strict=True))
        found = [_spans(example, offsets) for example, offsets in pairs]
        lost = [e for e, spans in zip(examples, found, strict=True) if e.answer and not spans]
        if lost:
            raise problems_error(
                "no token of the context holds the answer to these questions:",
                [f"{brief(e.parts[QUESTION])}, answer {brief(e.answer[0][0])}" for e in lost],
            )
        spans = np.full((2, len(examples), max(map(len, found), default=1) or 1), NONE, np.int32)
        for number, of_example in enumerate(found):
            if of_example:
                spans[:, number, : len(of_example)] = np.transpose(of_example)
        return Spans(*spans)

    def outputs(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> SpanLogits:
        """Compute the logits of the windows of each question; see `TextHead.outputs`."""
        logits = super().outputs(params, batch, dropout=dropout, key=key)
        exists = batch.lengths[:, None] > 0
        tokens = jnp.where(exists, batch.features[TOKENS], NONE)
        shape = (-1, batch.width, tokens.shape[1])
        return SpanLogits(*(a.reshape(shape) for a in (logits[..., 0], logits[..., 1], tokens)))

    def decode(
        self, outputs: SpanLogits, examples: Sequence[Example], tokenized: Tokenized
    ) -> list[Answers]:
        """Return the best piece of each context, over all its windows, or no answer."""
        found = jax.jit(self.objective.predictions)(_by_example(outputs, tokenized))
        spans = np.transpose(found).tolist()
        return [
            _answer(example.parts[CONTEXT], offsets, span)
            for example, offsets, span in zip(examples, tokenized.offsets, spans, strict=True)
        ]


def _numbers(window: Window, offsets: np.ndarray) -> list[int]:
    """Return the number of the token at each place; `NONE` where it holds no character."""
    holds = offsets[:, 0] < offsets[:, 1]
    numbers = range(window.first, window.first + window.size)
    return [NONE, *(number if holds[number] else NONE for number in numbers)]


def _spans(example: Example, offsets: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and the last token of each correct answer, each pair once."""
    ranges = (tokens_of_range(offsets, start, start + len(text)) for text, start in example.answer)
    return list(dict.fromkeys((tokens[0], tokens[-1]) for tokens in ranges if tokens))


def _answer(context: str, offsets: np.ndarray, span: Sequence[int]) -> Answers:
    """Return the piece of a context that a span of tokens holds, and its place."""
    first, last = span
    if first == NONE:
        return ()
    return ((text_of_tokens(context, offsets, first, last), int(offsets[first, 0])),)


def _by_example(outputs: SpanLogits, tokenized: Tokenized) -> SpanLogits:
    """Return the logits of windows `[S, 1, P]` side by side for each example, `[E, W, P]`."""
    shape = (-1, tokenized.width, outputs.tokens.shape[-1])
    count = len(tokenized.offsets) * tokenized.width

    def spread(array: Any, fill: int) -> jax.Array:
        spread = np.full((count, shape[-1]), fill, array.dtype)
        spread[tokenized.places] = array[:, 0]
        return jnp.asarray(spread.reshape(shape))

    start, end, tokens = outputs
    return SpanLogits(spread(start, 0), spread(end, 0), spread(tokens, NONE))
