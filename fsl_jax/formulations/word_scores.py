"""Score label words of one or more tokens with one pass over each prompt.

A decoder reads the tokens of the words after the prompt. An encoder-decoder reads the prompt with
its encoder, and its decoder reads the words after its start token. The first tokens of the words
need only some rows of the unembedding.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.formulations.decoder_slots import read_by_decoder
from fsl_jax.formulations.label_words import LabelWords, segment_layout
from fsl_jax.formulations.suffix import read_suffix
from fsl_jax.models.attention.segments import seen_before
from fsl_jax.models.blocks.layers import PRNGKey
from fsl_jax.models.blocks.prompt_positions import prompt_length
from fsl_jax.models.blocks.suffix_tokens import suffix_length
from fsl_jax.models.outputs import KeyValues
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.batch import Batch


class WordStates(NamedTuple):
    """The hidden states by which words are scored.

    Attributes:
      last: that of the last token before the words, `[B, D]`.
      words: those of the S tokens of the words, `[B, S, D]`.
    """

    last: Float[Array, "B D"]
    words: Float[Array, "B S D"]


def score_words(
    pretrained: Pretrained,
    params: Params,
    words: LabelWords,
    batch: Batch,
    *,
    prefix: KeyValues | None = None,
    dropout: float = 0.0,
    key: PRNGKey | None = None,
) -> Float[Array, "B C"]:
    """Compute the log-probability of each class, up to a constant that all classes share.

    Args:
      pretrained: a model with logits.
      params: the parameters of the model.
      words: the label words.
      batch: packed prompts, for a decoder with the words' tokens at their ends, unless the
        parameters have a suffix. Its `trunk` is that of `words_trunk`.
      prefix: keys and values of tokens before every prompt, for a decoder.
      dropout: the dropout rate inside the model.
      key: a threefry key, needed if the rate is above 0.

    Returns:
      float32 scores, to be used as logits.
    """
    options: dict[str, Any] = {"dropout": dropout, "key": key}
    if pretrained.config.is_encoder_decoder:
        states = _read_by_decoder(pretrained, params, words, batch, options)
    elif suffix_length(params):
        states = _read_after_suffix(pretrained, params, words, batch, prefix, options)
    else:
        states = _read_in_segments(pretrained, params, words, batch, prefix, options)
    return words.class_scores(_word_scores(pretrained, params, words, states))


def words_trunk(
    pretrained: Pretrained, params: Params, words: LabelWords, batch: Batch
) -> Float[Array, "R T D"]:
    """Compute the activations below `top_layers` of prompts with the words after them.

    Args:
      pretrained: a decoder.
      params: the parameters of the model.
      words: the label words.
      batch: packed prompts with the words' tokens at their ends.

    Returns:
      The activations that `score_words` takes as `trunk`.
    """
    return pretrained.trunk(params, batch.input_ids, **_segment_inputs(params, words, batch, None))


def _read_in_segments(
    pretrained: Pretrained,
    params: Params,
    words: LabelWords,
    batch: Batch,
    prefix: KeyValues | None,
    options: dict[str, Any],
) -> WordStates:
    """Read prompts that are followed by the words' tokens."""
    inputs = _segment_inputs(params, words, batch, prefix) | options
    trunk = batch.cached.get("trunk")
    output = pretrained.apply(
        params, batch.input_ids, prefix=prefix, trunk=trunk, unembed=False, **inputs
    )
    hidden, columns = output.hidden.reshape(-1, output.hidden.shape[-1]), words.inputs.size
    last = batch.last(after=columns)
    places = last[:, None] + jnp.arange(1, columns + 1, dtype=jnp.int32)[None]
    return WordStates(hidden[last], hidden[places])


def _segment_inputs(
    params: Params, words: LabelWords, batch: Batch, prefix: KeyValues | None
) -> dict[str, Any]:
    """Return the mask, the positions and the segments of the tokens, as options of a model."""
    segment_ids = batch.segment_ids
    if not words.inputs.size:
        return {"attention_mask": segment_ids > 0, "segment_ids": segment_ids}
    layout = segment_layout(words, batch)
    mask, positions = layout.sees(segment_ids), layout.positions
    if prefix is None:
        # The model counts the vectors of a soft prompt, which are tokens of the segments.
        positions = jnp.maximum(positions - prompt_length(params), 0)
    else:
        before = seen_before(segment_ids, prefix)
        mask = jnp.concatenate([before, mask], axis=2)
        positions += jnp.sum(before, axis=2, dtype=jnp.int32)
    return {"attention_mask": mask, "position_ids": positions, "segment_ids": segment_ids}


def _read_after_suffix(
    pretrained: Pretrained,
    params: Params,
    words: LabelWords,
    batch: Batch,
    prefix: KeyValues | None,
    options: dict[str, Any],
) -> WordStates:
    """Read prompts, and the suffix and the words' tokens in slots."""
    states = read_suffix(pretrained, params, batch, words, prefix, **options)
    size = len(states.is_real)
    last = states.slots[:, size - 1 - jnp.argmax(states.is_real[::-1])]
    if states.text is not None:
        text = states.text.reshape(-1, states.text.shape[-1])
        last = states.or_text(last, text[batch.last()])
    return WordStates(last, states.slots[:, size:])


def _read_by_decoder(
    pretrained: Pretrained,
    params: Params,
    words: LabelWords,
    batch: Batch,
    options: dict[str, Any],
) -> WordStates:
    """Read prompts by an encoder, and the start token and the words' tokens by its decoder."""
    states = read_by_decoder(pretrained, params, batch, words, **options)
    return WordStates(states[:, 0], states[:, 1:])


def _word_scores(
    pretrained: Pretrained, params: Params, words: LabelWords, states: WordStates
) -> Float[Array, "B N"]:
    """Add the logits of the first tokens and the log-probabilities of the tokens that follow.

    The logits of the first tokens are not normalised, since their normaliser is the same for all
    words.
    """
    scores = pretrained.unembed(params, states.last, jnp.asarray(words.first_tokens))
    if not words.inputs.size:
        return scores
    following = pretrained.unembed(params, states.words)
    targets = following[:, np.arange(words.targets.size), words.targets]
    targets -= jax.nn.logsumexp(following, axis=-1)
    word_indices = np.arange(words.first_tokens.size)
    belongs = jnp.asarray(words.word_index[:, None] == word_indices, targets.dtype)
    return scores + targets @ belongs
