"""Find the hidden states from which the tokens of answers are predicted."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.adapt.tree import Params
from fsl_jax.formulations.decoder_slots import read_by_decoder
from fsl_jax.formulations.suffix import Answers, read_suffix
from fsl_jax.formulations.writing.answer_tokens import NO_TOKEN
from fsl_jax.models.blocks.suffix_tokens import suffix_length
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.batch import Batch

ANSWER = "answer"
"""The feature: the tokens of each segment's answer, int32 `[S, A]`, filled up with -1."""


class AnswerStates(NamedTuple):
    """The hidden states at P places, and what follows each.

    Attributes:
      hidden: `[P, D]`.
      targets: the token that follows each place, int32 `[P]`.
      owner: the segment that the token belongs to, int32 `[P]`; -1 for none.
    """

    hidden: Float[Array, "P D"]
    targets: Int[Array, " P"]
    owner: Int[Array, " P"]


def answer_states(
    pretrained: Pretrained, params: Params, batch: Batch, **options: Any
) -> AnswerStates:
    """Read prompts and answers.

    A decoder reads an answer at the end of its segment. If the parameters have a suffix, it reads
    the answer once more after that, in a slot, as the decoder of an encoder-decoder does.

    Args:
      pretrained: a language model.
      params: its parameters.
      batch: packed prompts, for a decoder with answers at their ends, with the feature `ANSWER`.
      options: `dropout` and `key`.

    Returns:
      The states.
    """
    answers = batch.features[ANSWER]
    if pretrained.config.is_encoder_decoder:
        inputs = jnp.maximum(answers[:, :-1], 0)
        states = read_by_decoder(pretrained, params, batch, answers=inputs, **options)
    elif suffix_length(params):
        states = _read_after_suffix(pretrained, params, batch, answers, options)
    else:
        return _read_in_segments(pretrained, params, batch, answers, options)
    owner = _owner(batch, answers)
    return AnswerStates(states.reshape(-1, states.shape[-1]), _tokens(answers), owner)


def _read_in_segments(
    pretrained: Pretrained,
    params: Params,
    batch: Batch,
    answers: Int[Array, "S A"],
    options: dict[str, Any],
) -> AnswerStates:
    """Read segments that end with their answers, each token of which follows a place before it."""
    ids = batch.segment_ids
    output = pretrained.apply(
        params,
        batch.input_ids,
        ids > 0,
        segment_ids=ids,
        trunk=batch.cached.get("trunk"),
        unembed=False,
        **options,
    )
    hidden = output.hidden.reshape(-1, output.hidden.shape[-1])
    offset = jnp.arange(answers.shape[1], dtype=jnp.int32)
    places = (_last_of_prompt(batch, answers)[:, None] + offset[None]).reshape(-1)
    places = jnp.clip(places, 0, len(hidden) - 1)
    targets, owner = _tokens(answers), _owner(batch, answers)
    if len(places) > len(hidden):
        # The answers of a batch have fewer tokens than its rows, so the rest are no tokens.
        first = jnp.argsort(owner < 0, stable=True)[: len(hidden)]
        places, targets, owner = places[first], targets[first], owner[first]
    return AnswerStates(hidden[places], targets, owner)


def _read_after_suffix(
    pretrained: Pretrained,
    params: Params,
    batch: Batch,
    answers: Int[Array, "S A"],
    options: dict[str, Any],
) -> Float[Array, "S A D"]:
    """Read prompts, and the suffix and the answers in slots."""
    given = Answers(jnp.maximum(answers[:, :-1], 0), _in_prompt(batch, answers))
    states = read_suffix(pretrained, params, batch, answers=given, **options)
    size = len(states.is_real)
    last = states.slots[:, size - 1 - jnp.argmax(states.is_real[::-1])]
    if states.text is not None:
        text = states.text.reshape(-1, states.text.shape[-1])
        last = states.or_text(last, text[jnp.maximum(_last_of_prompt(batch, answers), 0)])
    return jnp.concatenate([last[:, None], states.slots[:, size:]], axis=1)


def _last_of_prompt(batch: Batch, answers: Int[Array, "S A"]) -> Int[Array, " S"]:
    """Return the place before each segment's answer."""
    count = jnp.sum(answers != NO_TOKEN, axis=1, dtype=jnp.int32)
    return batch.starts + batch.lengths - count - 1


def _in_prompt(batch: Batch, answers: Int[Array, "S A"]) -> Bool[Array, "R T"]:
    """Return True where a token belongs to a prompt, not to an answer."""
    ids = batch.segment_ids
    places = jnp.arange(ids.size, dtype=jnp.int32).reshape(ids.shape)
    return (ids > 0) & (places <= _last_of_prompt(batch, answers)[jnp.maximum(ids - 1, 0)])


def _tokens(answers: Int[Array, "S A"]) -> Int[Array, " P"]:
    """Return all tokens of answers, 0 where there is none."""
    return jnp.maximum(answers, 0).reshape(-1)


def _owner(batch: Batch, answers: Int[Array, "S A"]) -> Int[Array, " P"]:
    """Return the segment of each token of the answers; -1 where there is none."""
    numbers = jnp.arange(len(answers), dtype=jnp.int32)[:, None]
    counts = (answers != NO_TOKEN) & (batch.lengths > 0)[:, None]
    return jnp.where(counts, numbers, -1).reshape(-1)
