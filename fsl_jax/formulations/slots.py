"""Slots: the same number of further tokens for each example of a row, in a sequence of their own.

The tokens of a slot are a suffix, or the start token of an encoder-decoder's decoder, and after
them those of label words, side by side, or those of the example's own answer.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.formulations.label_words import IN_PROMPT, LabelWords
from fsl_jax.packing.batch import Batch


class Slots(NamedTuple):
    """The tokens of K slots in each of R rows, `Q + S` in a slot, in all `U = K * (Q + S)` a row.

    Attributes:
      input_ids: token ids, int32 `[R, U]`.
      segment_ids: the segment to which each token belongs, int32 `[R, U]`; 0 in an empty slot.
      sees: True where a token (first axis) attends to another of its row, bool `[U, U]`.
      offset: the position of each token in its slot, from 0, int32 `[U]`. All words begin at the
        position after the real ones of the first Q tokens.
    """

    input_ids: Int[Array, "R U"]
    segment_ids: Int[Array, "R U"]
    sees: Bool[Array, "U U"]
    offset: Int[Array, " U"]


def make_slots(
    batch: Batch,
    first_ids: Int[Array, " Q"],
    is_real: Bool[Array, " Q"],
    words: LabelWords | None = None,
    answers: Int[Array, "S A"] | None = None,
) -> Slots:
    """Lay out the tokens of a batch's slots.

    Args:
      batch: the packed rows.
      first_ids: the tokens with which each slot begins.
      is_real: True for those that are not padding.
      words: the label words, whose S tokens follow; None for none.
      answers: the A tokens that follow in the slot of each segment, instead of label words.

    Returns:
      The tokens.
    """
    size, index, offset = len(first_ids), *_columns(words, answers)
    word = jnp.concatenate([jnp.full(size, IN_PROMPT, jnp.int32), index])
    read = jnp.concatenate([is_real, jnp.ones(len(index), bool)])
    sees = jnp.tril(jnp.ones((len(word), len(word)), bool)) & read[None, :]
    sees &= (word == IN_PROMPT)[None, :] | (word[:, None] == word[None, :])
    counted = jnp.cumsum(is_real, dtype=jnp.int32)
    position = jnp.concatenate([jnp.maximum(counted - 1, 0), counted[-1] + offset])
    rows, slots = len(batch.segment_ids), batch.slots
    slot = jnp.repeat(jnp.arange(slots), len(word))
    segments = batch.segment_of_slot()
    return Slots(
        input_ids=_ids(segments, first_ids, words, answers).reshape(rows, -1),
        segment_ids=jnp.repeat(segments, len(word), axis=1),
        sees=(slot[:, None] == slot[None, :]) & jnp.tile(sees, (slots, slots)),
        offset=jnp.tile(position, slots),
    )


def states_of_slots(batch: Batch, hidden: Float[Array, "R U D"]) -> Float[Array, "B W D"]:
    """Return the hidden states of each example's slot, `W = Q + S`.

    Args:
      batch: the packed rows.
      hidden: the hidden states of the tokens of all slots.
    """
    slots = len(hidden) * batch.slots
    return hidden.reshape(slots, -1, hidden.shape[-1])[
        jnp.minimum(batch.slot_of_segment(), slots - 1)
    ]


def _columns(words: LabelWords | None, answers: Array | None) -> tuple[Array, Array]:
    """Return the word and the offset of each column after the first tokens."""
    if words is not None:
        return jnp.asarray(words.word_index), jnp.asarray(words.offset)
    offset = jnp.arange(0 if answers is None else answers.shape[1], dtype=jnp.int32)
    return jnp.zeros_like(offset), offset


def _ids(
    segments: Int[Array, "R K"],
    first_ids: Int[Array, " Q"],
    words: LabelWords | None,
    answers: Int[Array, "S A"] | None,
) -> Int[Array, "R K W"]:
    """Return the tokens of each slot."""
    after = jnp.asarray(words.inputs if words is not None else first_ids[:0])
    if answers is not None:
        after = answers[jnp.maximum(segments - 1, 0)]
    parts = (
        jnp.broadcast_to(each, (*segments.shape, each.shape[-1])) for each in (first_ids, after)
    )
    return jnp.concatenate(list(parts), axis=2)
