"""Read packed texts by the encoder of an encoder-decoder, and slots by its decoder."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fsl_jax.adapt.tree import Params
from fsl_jax.formulations.label_words import LabelWords
from fsl_jax.formulations.slots import make_slots, states_of_slots
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.batch import Batch


def read_by_decoder(
    pretrained: Pretrained,
    params: Params,
    batch: Batch,
    words: LabelWords | None = None,
    answers: Int[Array, "S A"] | None = None,
    **options: Any,
) -> Float[Array, "S W D"]:
    """Return the hidden states of the decoder's start token and of the tokens after it.

    Args:
      pretrained: an encoder-decoder.
      params: its parameters.
      batch: packed texts.
      words: the label words whose tokens follow the start token of each segment.
      answers: the tokens that follow in the slot of each segment, instead of label words.
      options: `dropout` and `key`.

    Returns:
      The states, with `W = 1 + A`, that of the start token first.
    """
    config: Any = pretrained.config
    start = jnp.full(1, config.decoder_start_token, jnp.int32)
    slots = make_slots(batch, start, jnp.ones(1, bool), words, answers)
    shape = (*slots.input_ids.shape, slots.input_ids.shape[1])
    output = pretrained.apply(
        params,
        batch.input_ids,
        batch.segment_ids > 0,
        segment_ids=batch.segment_ids,
        decoder_input_ids=slots.input_ids,
        decoder_attention_mask=jnp.broadcast_to(slots.sees[None], shape),
        decoder_position_ids=jnp.broadcast_to(slots.offset[None], shape[:2]),
        decoder_segment_ids=slots.segment_ids,
        unembed=False,
        **options,
    )
    return states_of_slots(batch, output.hidden)
