"""The formulation `choice_head`: a linear layer that scores each choice beside its question."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax
import numpy as np
from jaxtyping import Int32

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.formulations.heads.pooled_head import PooledHead
from fsl_jax.formulations.objectives.choices import ChoiceObjective, ChoiceScores
from fsl_jax.formulations.pairs import pair_frame, plain_tokens
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.packing.batch import Batch
from fsl_jax.tasks.multiple_choice import CONTEXT, QUESTION, choices


@dataclasses.dataclass(frozen=True, eq=False)
class ChoiceHead(PooledHead):
    """Scores the choices of a question; the answer is the index of the one with the highest score.

    Each choice is a segment: the question and the choice as a pair, or the context, and the
    question with the choice.

    Attributes:
      pretrained: the model.
      pooling: as in `PooledHead`.
      max_length: as in `TextHead`.
      reserved_positions: as in `TextHead`.
    """

    pooling: str = ""
    name: ClassVar[str] = "choice_head"
    labels = ()
    """None, since each question has its own choices."""

    @property
    def outputs_size(self) -> int:
        """1, the score."""
        return 1

    @property
    def objective(self) -> ChoiceObjective:
        """The cross-entropy over the choices of a question."""
        return ChoiceObjective()

    def tokenize(self, examples: Sequence[Example], *, answered: bool = False) -> Tokenized:
        """Tokenise questions with each of their choices.

        Those longer than the limit are cut at the beginning, since the choice stands at the end,
        and their examples are counted.

        Args:
          examples: E examples.
          answered: not used, since answers are no tokens.

        Returns:
          A segment for each choice.

        Raises:
          InputError: the limit leaves no room for two texts, or a text has a token
            that the model does not embed.
        """
        frame = pair_frame(self.pretrained)
        pairs = [_pairs(example, frame.line_end) for example in examples]
        flat = [pair for of_example in pairs for pair in of_example]
        # A question has the same tokens beside each of its choices.
        unique = list(dict.fromkeys(first for first, _ in flat))
        firsts = dict(zip(unique, plain_tokens(self.pretrained, unique), strict=True))
        seconds = plain_tokens(self.pretrained, [second for _, second in flat])
        tokens, room, is_cut = [], frame.room(self.limit), []
        for (first, _), second in zip(flat, seconds, strict=True):
            excess = max(0, len(firsts[first]) + len(second) - room)
            rest = max(0, excess - len(firsts[first]))
            tokens.append(frame.join(firsts[first][excess:], second[rest:]))
            is_cut.append(excess > 0)
        self.require_rows(map("".join, flat), tokens)
        tokenized = Tokenized(tokens, 0, np.array([len(each) for each in pairs], np.int32))
        cut = len(set(tokenized.owners[np.array(is_cut, bool)].tolist()))
        return dataclasses.replace(tokenized, truncated=cut)

    def targets(self, examples: Sequence[Example], tokenized: Tokenized) -> Int32[np.ndarray, " E"]:
        """Return the index of the correct choice of each example."""
        return np.array([example.answer for example in examples], np.int32)

    def outputs(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> ChoiceScores:
        """Compute the scores of the choices of each question; see `TextHead.outputs`."""
        scores = super().outputs(params, batch, dropout=dropout, key=key)
        shape = (-1, batch.width)
        return ChoiceScores(scores.reshape(shape), batch.lengths.reshape(shape) > 0)

    def decode(
        self, outputs: ChoiceScores, examples: Sequence[Example], tokenized: Tokenized
    ) -> list[int]:
        """Return the index of the choice with the highest score."""
        scores = np.split(np.ravel(outputs.scores), np.cumsum(np.bincount(tokenized.owners))[:-1])
        return [int(of_example.argmax()) for of_example in scores]


def _pairs(example: Example, line_end: str) -> list[tuple[str, str]]:
    """Return the two texts of each choice; a line end follows the first unless it is empty."""
    first, between = example.parts[QUESTION] + line_end, ""
    if context := example.parts.get(CONTEXT):
        first, between = context + line_end, example.parts[QUESTION] + (line_end or " ")
    return [(first, between + choice) for choice in choices(example)]
