"""Read a text before its suffix, which is a soft prompt after the text.

In a decoder a text does not attend to tokens after it. So the texts are read first, and each suffix
attends to the keys and values of its own text, in a slot of the text's row. They are computed once
for all runs that differ only in the suffix, and can be cached if no trainable leaf changes them.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError
from fsl_jax.formulations.label_words import LabelWords
from fsl_jax.formulations.slots import Slots, make_slots, states_of_slots
from fsl_jax.models.attention.segments import seen_before, segment_mask, segment_positions
from fsl_jax.models.blocks.layers import PRNGKey
from fsl_jax.models.blocks.prompt_tokens import hide_padding
from fsl_jax.models.blocks.suffix_tokens import suffix_length, suffix_tokens, without_suffix
from fsl_jax.models.outputs import KeyValues, ModelOutput
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.batch import Batch

KEYS, VALUES = "keys", "values"

_TEXT = 2**16
"""The number to fold into the key for the text's dropout; larger than those of all layers."""


class Answers(NamedTuple):
    """The tokens of answers, which are read after the suffix.

    Attributes:
      inputs: the tokens after the suffix of each segment, int32 `[S, A]`.
      in_text: False where a token of the rows belongs to an answer, which no suffix may see, bool
        `[R, T]`.
    """

    inputs: Int[Array, "S A"]
    in_text: Bool[Array, "R T"]


class SuffixStates(NamedTuple):
    """The hidden states of a text's suffix, and of the text itself.

    Attributes:
      slots: those of the Q tokens of the suffix and the S tokens of label words or of an answer
        after it, `[B, Q + S, D]`.
      is_real: True for a real vector of the suffix, bool `[Q]`.
      text: those of the texts, `[R, T, D]`; None if only their keys and values are known.
    """

    slots: Float[Array, "B W D"]
    is_real: Bool[Array, " Q"]
    text: Float[Array, "R T D"] | None

    def or_text(self, of_suffix: Array, of_text: Array) -> Array:
        """Return the first array, or the second one if all of the suffix is padding."""
        return jnp.where(jnp.any(self.is_real), of_suffix, of_text)


def read_suffix(
    pretrained: Pretrained,
    params: Params,
    batch: Batch,
    words: LabelWords | None = None,
    prefix: KeyValues | None = None,
    answers: Answers | None = None,
    *,
    dropout: float = 0.0,
    key: PRNGKey | None = None,
) -> SuffixStates:
    """Read the texts of a batch, then the suffix of each.

    Args:
      pretrained: a decoder.
      params: its parameters, with a suffix.
      batch: packed texts, perhaps with the result of `text_states`.
      words: label words to read after the suffix.
      prefix: keys and values of the tokens before every text.
      answers: answers to read after the suffix, without `words` and `prefix`.
      dropout: the dropout rate inside the model.
      key: a threefry key, needed if the rate is above 0.

    Returns:
      The hidden states.

    Raises:
      InputError: the model is not a decoder.
    """
    _require_decoder(pretrained)
    ids, is_real = (array[0] for array in suffix_tokens(params, 1))
    slots = make_slots(batch, ids, is_real, words, None if answers is None else answers.inputs)
    options: dict[str, Any] = {"dropout": dropout, "key": key}
    if prefix is None:
        in_text = batch.segment_ids > 0 if answers is None else answers.in_text
        text, hidden = _read_apart(pretrained, params, batch, slots, in_text, options)
    else:
        text, hidden = _read_together(pretrained, params, batch, slots, prefix, options)
    return SuffixStates(states_of_slots(batch, hidden), is_real, text)


def text_states(pretrained: Pretrained, params: Params, batch: Batch) -> dict[str, Array]:
    """Compute the keys and values of texts, to be cached by token.

    Args:
      pretrained: a decoder.
      params: the parameters of the decoder, with a suffix or without.
      batch: packed texts.

    Returns:
      `keys` and `values`, `[R, T, L, H_kv, Dh]`.

    Raises:
      InputError: the model is not a decoder.
    """
    _require_decoder(pretrained)
    states = _read_text(pretrained, params, batch, {}).key_values
    return {KEYS: jnp.moveaxis(states.keys, 0, 2), VALUES: jnp.moveaxis(states.values, 0, 2)}


def _read_apart(
    pretrained: Pretrained,
    params: Params,
    batch: Batch,
    slots: Slots,
    in_text: Bool[Array, "R T"],
    options: dict[str, Any],
) -> tuple[Float[Array, "R T D"] | None, Float[Array, "R U D"]]:
    """Read the texts, unless they are cached, and then the slots, which attend to them.

    Returns:
      The hidden states of the texts, if they are known, and those of the slots.
    """
    text = None
    if KEYS in batch.cached:
        keys, values = (jnp.moveaxis(batch.cached[name], 2, 0) for name in (KEYS, VALUES))
    else:
        key = options["key"]
        text_key = None if key is None else jax.random.fold_in(key, _TEXT)
        output = _read_text(pretrained, params, batch, options | {"key": text_key})
        text, keys, values = output.hidden, output.key_values.keys, output.key_values.values
    # Of a soft prompt before the text, vectors that are padding are seen by nobody.
    is_seen = hide_padding(params, batch.input_ids, in_text)
    mask, positions = _slot_inputs(slots, batch, is_seen)
    text_positions = segment_positions(is_seen, batch.segment_ids)
    hidden = pretrained.apply(
        params,
        slots.input_ids,
        mask,
        position_ids=positions,
        prefix=KeyValues(keys, values, is_seen, text_positions),
        unembed=False,
        **options,
    ).hidden
    return text, hidden


def _read_together(
    pretrained: Pretrained,
    params: Params,
    batch: Batch,
    slots: Slots,
    prefix: KeyValues,
    options: dict[str, Any],
) -> tuple[Float[Array, "R T D"], Float[Array, "R U D"]]:
    """Read the texts and the slots at once, after tokens that all of them attend to."""
    is_real = batch.segment_ids > 0
    slot_mask, slot_positions = _slot_inputs(slots, batch, is_real)
    text_mask = jnp.tril(segment_mask(batch.segment_ids, batch.segment_ids, is_real))
    text_mask = jnp.pad(text_mask, ((0, 0), (0, 0), (0, slot_positions.shape[1])))
    mask = jnp.concatenate([text_mask, slot_mask], axis=1)
    text_positions = segment_positions(is_real, batch.segment_ids)
    positions = jnp.concatenate([text_positions, slot_positions], axis=1)
    segment_ids = jnp.concatenate([batch.segment_ids, slots.segment_ids], axis=1)
    before = seen_before(segment_ids, prefix)
    hidden = pretrained.apply(
        params,
        jnp.concatenate([batch.input_ids, slots.input_ids], axis=1),
        jnp.concatenate([before, mask], axis=2),
        position_ids=positions + jnp.sum(before, axis=2, dtype=jnp.int32),
        prefix=prefix,
        unembed=False,
        **options,
    ).hidden
    text, of_slots = jnp.split(hidden, [is_real.shape[1]], axis=1)
    return text, of_slots


def _read_text(
    pretrained: Pretrained, params: Params, batch: Batch, options: dict[str, Any]
) -> ModelOutput:
    """Read the texts without the suffix, so that runs that differ only in it share the result."""
    ids, suffix = batch.input_ids, suffix_length(params)
    # The ids of a soft prompt before the text come after those of the suffix.
    is_prompt = ids >= pretrained.config.vocab_size + suffix
    return pretrained.apply(
        without_suffix(params),
        jnp.where(is_prompt, ids - suffix, ids),
        batch.segment_ids > 0,
        segment_ids=batch.segment_ids,
        unembed=False,
        **options,
    )


def _slot_inputs(
    slots: Slots, batch: Batch, is_seen: Bool[Array, "R T"]
) -> tuple[Bool[Array, "R U S"], Int[Array, "R U"]]:
    """Return what the tokens of slots see of the texts and of each other, and their positions.

    Args:
      slots: U tokens a row.
      batch: T tokens a row.
      is_seen: True where a token of a text may be seen.

    Returns:
      A mask with `S = T + U`, and positions, which go on from those of the text.
    """
    of_text = segment_mask(slots.segment_ids, batch.segment_ids, is_seen)
    of_slots = jnp.broadcast_to(slots.sees[None], (len(of_text), *slots.sees.shape))
    positions = jnp.sum(of_text, axis=2, dtype=jnp.int32) + slots.offset[None]
    return jnp.concatenate([of_text, of_slots], axis=2), positions


def _require_decoder(pretrained: Pretrained) -> None:
    if not pretrained.config.is_decoder:
        raise InputError(
            f"{pretrained.name} reads texts with an encoder ({pretrained.config.family}), whose "
            "tokens see what comes after them: put the soft prompt before them, which is "
            "prompt_tuning without position='suffix', or take a decoder such as smollm2-135m"
        )
