"""Lay out the tokens of label words after a prompt.

All words are appended to the prompt side by side, each without its last token. Each appended token
attends to the prompt and to the earlier tokens of its own word. So one pass over a prompt scores
all words. A word of one token needs no appended token.

A decoder reads these tokens at the end of each segment, or in slots (see `slots.py`) if a suffix
comes before them.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.attention.segments import segment_mask, segment_positions
from fsl_jax.packing.batch import Batch

IN_PROMPT = -1
"""The index of the word of a token that belongs to none."""


@dataclasses.dataclass(frozen=True, eq=False)
class LabelWords:
    """The W label words of C classes as arrays, with S tokens to append to a prompt.

    Attributes:
      first_tokens: the first token of each word, int32 `[W]`.
      inputs: the tokens to append to the prompt, int32 `[S]`.
      targets: the token that follows each appended token in its word, int32 `[S]`.
      word_index: the index of the word that each appended token belongs to, int32 `[S]`.
      offset: the position of each appended token in its word, from 0, int32 `[S]`.
      class_index: the index of the class that each word belongs to, int32 `[W]`.
    """

    first_tokens: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray
    word_index: np.ndarray
    offset: np.ndarray
    class_index: np.ndarray

    @classmethod
    def from_tokens(
        cls, tokens: Sequence[Sequence[int]], class_index: Sequence[int]
    ) -> "LabelWords":
        """Lay out words.

        Args:
          tokens: the token ids of each word.
          class_index: the index of the class of each word.

        Returns:
          The layout.
        """
        columns = [
            (ids[position], ids[position + 1], word, position)
            for word, ids in enumerate(tokens)
            for position in range(len(ids) - 1)
        ]
        table = np.array(columns, np.int32).reshape(len(columns), 4)
        first_tokens = np.array([ids[0] for ids in tokens], np.int32)
        inputs, targets, word_index, offset = table.T
        classes = np.array(class_index, np.int32)
        return cls(first_tokens, inputs, targets, word_index, offset, classes)

    @property
    def extra_positions(self) -> int:
        """The number of positions that the longest word takes after the prompt."""
        return int(self.offset.max(initial=-1)) + 1

    def class_scores(self, word_scores: Float[Array, "B W"]) -> Float[Array, "B C"]:
        """Sum the probabilities of each class's words, all as logarithms.

        Args:
          word_scores: the logarithm of the probability of each word.

        Returns:
          The logarithm of the probability of each class.
        """
        classes = np.arange(self.class_index.max() + 1)
        belongs = jnp.asarray(self.class_index[None, :] == classes[:, None])
        spread = jnp.where(belongs[None], word_scores[:, None, :], -jnp.inf)
        return jax.nn.logsumexp(spread, axis=-1)


class SegmentLayout(NamedTuple):
    """The places of label words in packed rows, and the positions of all tokens.

    Attributes:
      word: the index of the word that each token belongs to, or -1 in a prompt and in padding,
        int32 `[R, T]`.
      positions: the position of each token in its example, int32 `[R, T]`. All words begin at the
        position after the prompt.
    """

    word: Int[Array, "R T"]
    positions: Int[Array, "R T"]

    def sees(self, segment_ids: Int[Array, "R T"]) -> Bool[Array, "R T T"]:
        """Return True where a token (first axis after the rows) attends to another.

        Args:
          segment_ids: the segment of each token.
        """
        same_word = self.word[:, :, None] == self.word[:, None, :]
        of_prompt = (self.word == IN_PROMPT)[:, None, :]
        earlier = jnp.tril(segment_mask(segment_ids, segment_ids, segment_ids > 0))
        return earlier & (of_prompt | same_word)


def segment_layout(words: LabelWords, batch: Batch) -> SegmentLayout:
    """Find the label words in segments that end with their tokens.

    Args:
      words: the label words, with S tokens in each segment, which is at least 1.
      batch: the packed rows.

    Returns:
      The layout, in which positions count every token before the words.
    """
    columns, is_real = words.inputs.size, batch.segment_ids > 0
    number = segment_positions(is_real, batch.segment_ids)
    prompt_length = batch.lengths[jnp.maximum(batch.segment_ids - 1, 0)] - columns
    in_word = is_real & (number >= prompt_length)
    column = jnp.clip(number - prompt_length, 0, columns - 1)
    after_prompt = prompt_length + jnp.asarray(words.offset)[column]
    return SegmentLayout(
        word=jnp.where(in_word, jnp.asarray(words.word_index)[column], IN_PROMPT),
        positions=jnp.where(in_word, after_prompt, number),
    )
