"""Score label words of one or more tokens with one pass over the prompt.

A decoder reads the tokens of the words after the prompt. An encoder-decoder reads the prompt with
its encoder, and its decoder reads the words after its start token. The first tokens of the words
need only some rows of the unembedding.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.adapt.tree import Params
from fsl_jax.models.blocks.pooling import last_token
from fsl_jax.models.outputs import KeyValues
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.tasks.label_words import LabelWords, append_words

Prompts = tuple[Int[Array, "B T"], Bool[Array, "B T"]]

_DECODER_INPUTS = ("decoder_input_ids", "decoder_attention_mask", "decoder_position_ids")


def score_words(
    pretrained: Pretrained,
    params: Params,
    words: LabelWords,
    input_ids: Int[Array, "B T"],
    attention_mask: Bool[Array, "B T"],
    *,
    prefix: KeyValues | None = None,
    trunk: Float[Array, "B TS D"] | None = None,
    dropout: float = 0.0,
    key: jax.Array | None = None,
) -> Float[Array, "B C"]:
    """Compute the log-probability of each class, up to a constant that all classes share.

    Args:
      pretrained: a model with logits.
      params: the parameters of the model.
      words: the label words.
      input_ids: prompts, padded on the right, or before the suffix if there is one.
      attention_mask: True where a token is real.
      prefix: keys and values of tokens before every prompt, for a decoder.
      trunk: the result of `words_trunk` for these prompts, for a decoder.
      dropout: the dropout rate inside the model.
      key: a threefry key, needed if the rate is above 0.

    Returns:
      float32 scores, to be used as logits.
    """
    options: dict[str, Any] = {"dropout": dropout, "key": key, "unembed": False}
    options |= {"prefix": prefix, "trunk": trunk}
    prompts: Prompts = (input_ids, attention_mask)
    before_words = prompts
    if pretrained.config.is_encoder_decoder:
        before_words = _decoder_start(pretrained.config, len(input_ids))
        arrays = append_words(words, *before_words, None)
        decoder_inputs: dict[str, Any] = dict(zip(_DECODER_INPUTS, arrays, strict=True))
        output = pretrained.apply(params, *prompts, **decoder_inputs, **options)
    else:
        ids, mask, positions = append_words(words, *prompts, prefix)
        output = pretrained.apply(params, ids, mask, position_ids=positions, **options)
    scores = _word_scores(pretrained, params, words, output.hidden, before_words[1])
    return words.class_scores(scores)


def words_trunk(
    pretrained: Pretrained,
    params: Params,
    words: LabelWords,
    input_ids: Int[Array, "B T"],
    attention_mask: Bool[Array, "B T"],
) -> Float[Array, "B TS D"]:
    """Compute the activations below `top_layers` of prompts with the words appended.

    Args:
      pretrained: a model with logits.
      params: the parameters of the model.
      words: the label words.
      input_ids: prompts, padded on the right.
      attention_mask: True where a token is real.

    Returns:
      The activations that `score_words` takes as `trunk`.
    """
    ids, mask, positions = append_words(words, input_ids, attention_mask, None)
    return pretrained.trunk(params, ids, mask, position_ids=positions)


def _decoder_start(config: Any, batch: int) -> Prompts:
    """Return the start token of an encoder-decoder's decoder for each row, and its mask."""
    start = jnp.full((batch, 1), config.decoder_start_token, jnp.int32)
    return start, jnp.ones((batch, 1), bool)


def _word_scores(
    pretrained: Pretrained,
    params: Params,
    words: LabelWords,
    hidden: Float[Array, "B TS D"],
    mask: Bool[Array, "B T"],
) -> Float[Array, "B W"]:
    """Add the logits of the first tokens and the log-probabilities of the tokens that follow.

    The logits of the first tokens are not normalised, since their normaliser is the same for all
    words.
    """
    length = mask.shape[1]
    last = last_token(hidden[:, :length], mask)
    scores = pretrained.unembed(params, last, jnp.asarray(words.first_tokens))
    if not words.inputs.size:
        return scores
    following = pretrained.unembed(params, hidden[:, length:])
    targets = following[:, np.arange(words.targets.size), words.targets]
    targets -= jax.nn.logsumexp(following, axis=-1)
    word_indices = np.arange(words.first_tokens.size)
    belongs = jnp.asarray(words.word_index[:, None] == word_indices, targets.dtype)
    return scores + targets @ belongs
