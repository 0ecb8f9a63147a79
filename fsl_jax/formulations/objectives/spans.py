"""The objective of extractive question answering: a span of a context, or no answer."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from fsl_jax.errors import unknown_name
from fsl_jax.formulations.objectives.masked import LOWEST, masked_logits
from fsl_jax.formulations.objectives.objective import Losses
from fsl_jax.formulations.objectives.ratios import ratio

MEASURES = ("token_f1", "exact_match")
NONE = -1
"""The token of a span where there is no answer, and that of a place where none may stand."""


class SpanLogits(NamedTuple):
    """The logits of the places of the windows of each question.

    The first place of a window is the null place, which stands for no answer.

    Attributes:
      start: the logits of the first token of an answer, `[B, W, T]`.
      end: those of its last token, `[B, W, T]`.
      tokens: the number of the context's token at each place, int32 `[B, W, T]`; -1 at the null
        place and where no answer may stand. Neighbouring tokens have neighbouring places. A window
        without tokens does not exist.
    """

    start: Float[Array, "B W T"]
    end: Float[Array, "B W T"]
    tokens: Int[Array, "B W T"]


class Spans(NamedTuple):
    """Spans of a context, by the numbers of its tokens; -1 for none.

    Attributes:
      first: the first token, int32; `[B]` for one span a question, or `[B, G]`.
      last: the last token.
    """

    first: Int[Array, "B ..."]
    last: Int[Array, "B ..."]


@dataclasses.dataclass(frozen=True)
class SpanObjective:
    """Compares the logits of places with up to G correct spans of a question, `Spans` of `[B, G]`.

    A question without a correct span has no answer. Losses are of windows, and of the first correct
    span, which may lie in some windows and not in others. Statistics are of questions, so that
    windows without an answer earn nothing.

    Attributes:
      longest: the largest number of tokens of a predicted answer.
      may_be_silent: False if every question has an answer, so that one is always predicted.
      measure_name: one of `MEASURES`: the F1 of the tokens of the predicted and the most similar
        correct answer, or the share of answers that are correct token by token.
    """

    longest: int = 30
    may_be_silent: bool = True
    measure_name: str = "token_f1"

    def __post_init__(self):
        if self.measure_name not in MEASURES:
            raise unknown_name("measure", self.measure_name, MEASURES)

    def predictions(self, outputs: SpanLogits) -> Spans:
        """Return the best span of each question over its windows, `[B]`.

        There is no answer if the null place scores higher than that in every window, as in the
        scripts for SQuAD 2.
        """
        allowed = outputs.tokens != NONE
        start, end = masked_logits(outputs.start, allowed), masked_logits(outputs.end, allowed)
        batch, _, length = outputs.tokens.shape
        scores = (start + _best_within(end, self.longest)).reshape(batch, -1)
        best = jnp.argmax(scores, axis=1)
        place = jnp.arange(length, dtype=jnp.int32)[None]
        begins = (best % length)[:, None]
        in_reach = (place >= begins) & (place < begins + self.longest)
        of_window = jnp.take_along_axis(end, (best // length)[:, None, None], axis=1)[:, 0]
        distance = jnp.argmax(jnp.where(in_reach, of_window, 2 * LOWEST), axis=1) - begins[:, 0]
        first = jnp.take_along_axis(outputs.tokens.reshape(batch, -1), best[:, None], axis=1)[:, 0]
        answers = first != NONE
        if self.may_be_silent:
            answers &= jnp.max(scores, axis=1) > _null_score(outputs)
        last = first + distance.astype(jnp.int32)
        return Spans(jnp.where(answers, first, NONE), jnp.where(answers, last, NONE))

    def losses(self, outputs: SpanLogits, targets: Spans) -> Losses:
        """Compute the mean of both cross-entropies of each window; see `Objective`."""
        exists = jnp.any(outputs.tokens != NONE, axis=2)
        allowed = (outputs.tokens != NONE).at[:, :, 0].set(True)
        labels = _places(outputs.tokens, targets)
        start, end = (
            optax.losses.softmax_cross_entropy_with_integer_labels(
                masked_logits(logits, allowed), label
            )
            for logits, label in zip((outputs.start, outputs.end), labels, strict=True)
        )
        sums = jnp.sum(jnp.where(exists, (start + end) / 2, 0.0), axis=1)
        return Losses(sums, jnp.sum(exists, axis=1, dtype=jnp.float32))

    def statistics(self, outputs: SpanLogits, targets: Spans) -> Float[Array, "B 3"]:
        """Return the F1 of tokens of each question, 1 if the answer is exact, and 1."""
        predicted = Spans(*(each[:, None] for each in self.predictions(outputs)))
        silent = (predicted.first == NONE)[:, 0] & jnp.all(targets.first == NONE, axis=1)
        is_span = (targets.first != NONE) & (predicted.first != NONE)
        shared = jnp.minimum(predicted.last, targets.last) + 1
        shared -= jnp.maximum(predicted.first, targets.first)
        lengths = predicted.last - predicted.first + targets.last - targets.first + 2
        f1 = ratio(2.0 * _floats(jnp.maximum(shared, 0)), _floats(lengths))
        exact = (predicted.first == targets.first) & (predicted.last == targets.last)
        best = [
            jnp.maximum(jnp.max(jnp.where(is_span, each, 0.0), axis=1), _floats(silent))
            for each in (f1, _floats(exact))
        ]
        return jnp.stack([*best, jnp.ones_like(best[0])], axis=1)

    def measure(self, sums: Float[Array, "3"]) -> Float[Array, ""]:
        """Compute the mean F1 of tokens, or the share of exact answers."""
        return ratio(sums[MEASURES.index(self.measure_name)], sums[2])


def _floats(values: Array) -> Float[Array, "..."]:
    return values.astype(jnp.float32)


def _best_within(end: Float[Array, "B W T"], longest: int) -> Float[Array, "B W T"]:
    """Return the largest value among each place and the `longest - 1` places after it."""
    reach = min(longest, end.shape[2]) - 1
    padding = ((0, 0), (0, 0), (0, reach))
    lowest = jnp.float32(2 * LOWEST)
    return jax.lax.reduce_window(end, lowest, jax.lax.max, (1, 1, reach + 1), (1, 1, 1), padding)


def _null_score(outputs: SpanLogits) -> Float[Array, " B"]:
    """Return the lowest score of the null places of the windows of each question."""
    exists = jnp.any(outputs.tokens != NONE, axis=2)
    scores = outputs.start[:, :, 0] + outputs.end[:, :, 0]
    return jnp.min(jnp.where(exists, scores, -LOWEST), axis=1)


def _places(tokens: Int[Array, "B W T"], targets: Spans) -> list[Int[Array, "B W"]]:
    """Return where the first correct span begins and ends; 0 in windows that lack a part of it."""
    ends = [each[:, :1, None] for each in targets]
    found = [(tokens == each) & (each != NONE) for each in ends]
    whole = jnp.any(found[0], axis=2) & jnp.any(found[1], axis=2)
    return [jnp.where(whole, jnp.argmax(each, axis=2), 0) for each in found]
