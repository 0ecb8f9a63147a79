"""Scores of label words of one or more tokens, from one pass over the prompt.

The tokens of all words but the last of each are laid behind the prompt, side by side: each attends
to the prompt and to the earlier tokens of its own word. So a prompt is read once however many words
there are, and words of one token, which need no such column, cost a few rows of the unembedding.
The decoder of an encoder-decoder has the words after the token that it begins with, and the prompt
is its encoder's.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.adapt.tree import Params
from fsl_jax.models.blocks.pooling import last_token
from fsl_jax.models.outputs import KeyValues
from fsl_jax.models.pretrained import Pretrained

Prompts = tuple[Int[Array, "B T"], Bool[Array, "B T"]]

_DECODER_INPUTS = ("decoder_input_ids", "decoder_attention_mask", "decoder_position_ids")


@dataclasses.dataclass(frozen=True, eq=False)
class LabelWords:
    """The W label words of C classes as arrays, with S columns of word tokens behind the prompt.

    Attributes:
      first: first token of each word, int32 `[W]`.
      inputs: the tokens behind the prompt, int32 `[S]`.
      targets: the token that follows each of them, int32 `[S]`.
      word: the word that each belongs to, int32 `[S]`.
      offset: its place in its word, from 0, int32 `[S]`.
      owner: the class of each word, int32 `[W]`.
    """

    first: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray
    word: np.ndarray
    offset: np.ndarray
    owner: np.ndarray

    @classmethod
    def from_tokens(cls, tokens: Sequence[Sequence[int]], owner: Sequence[int]) -> "LabelWords":
        """Lays out words.

        Args:
          tokens: the token ids of each word.
          owner: the class of each word.

        Returns:
          The layout.
        """
        columns = [
            (ids[place], ids[place + 1], word, place)
            for word, ids in enumerate(tokens)
            for place in range(len(ids) - 1)
        ]
        table = np.array(columns, np.int32).reshape(len(columns), 4)
        first = np.array([ids[0] for ids in tokens], np.int32)
        inputs, targets, word, offset = table.T
        return cls(first, inputs, targets, word, offset, np.array(owner, np.int32))

    @property
    def longest(self) -> int:
        """How many positions the longest word takes behind the prompt."""
        return int(self.offset.max(initial=-1)) + 1

    def class_scores(self, word_scores: Float[Array, "B W"]) -> Float[Array, "B C"]:
        """The score of each class: the probabilities of its words together, as a logarithm."""
        classes = np.arange(self.owner.max() + 1)
        owned = jnp.asarray(self.owner[None, :] == classes[:, None])
        spread = jnp.where(owned[None], word_scores[:, None, :], -jnp.inf)
        return jax.nn.logsumexp(spread, axis=-1)


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
    """The logarithm of each class's probability, up to a constant that the classes share.

    Args:
      pretrained: a model with logits.
      params: its parameters.
      words: the label words.
      input_ids: prompts, padded at the right or within, as where a suffix follows.
      attention_mask: True where a token is real.
      prefix: keys and values of tokens that stand before every prompt, for a decoder.
      trunk: what `words_trunk` computed once for these prompts, for a decoder.
      dropout: rate inside the model.
      key: a threefry key, needed where the rate is above 0.

    Returns:
      float32 scores, to be used as logits.
    """
    options: dict[str, Any] = {
        "prefix": prefix,
        "trunk": trunk,
        "dropout": dropout,
        "key": key,
        "unembed": False,
    }
    before: Prompts = (input_ids, attention_mask)
    if pretrained.config.is_encoder_decoder:
        before = _beginnings(pretrained.config, len(input_ids))
        laid: dict[str, Any] = dict(
            zip(_DECODER_INPUTS, _arrange(words, *before, None), strict=True)
        )
        output = pretrained.apply(params, input_ids, attention_mask, **laid, **options)
    else:
        ids, mask, positions = _arrange(words, *before, prefix)
        output = pretrained.apply(params, ids, mask, position_ids=positions, **options)
    hidden, length = output.hidden, before[0].shape[1]
    last = last_token(hidden[:, :length], before[1])
    scores = pretrained.unembed(params, last, jnp.asarray(words.first))
    if words.inputs.size:
        following = pretrained.unembed(params, hidden[:, length:])
        chosen = following[:, np.arange(words.targets.size), words.targets]
        chosen -= jax.nn.logsumexp(following, axis=-1)
        belongs = jnp.asarray(words.word[:, None] == np.arange(words.first.size), chosen.dtype)
        scores = scores + chosen @ belongs
    return words.class_scores(scores)


def words_trunk(
    pretrained: Pretrained,
    params: Params,
    words: LabelWords,
    input_ids: Int[Array, "B T"],
    attention_mask: Bool[Array, "B T"],
) -> Float[Array, "B TS D"]:
    """The activations below the trained layers, of prompts with the words' columns behind them.

    Args:
      pretrained: a model with logits.
      params: its parameters.
      words: the label words.
      input_ids: prompts, padded at the right.
      attention_mask: True where a token is real.

    Returns:
      What `score_words` takes as `trunk`.
    """
    ids, mask, positions = _arrange(words, input_ids, attention_mask, None)
    return pretrained.trunk(params, ids, mask, position_ids=positions)


def _beginnings(config: Any, batch: int) -> Prompts:
    """The tokens that an encoder-decoder's decoder begins with, which stand before the words."""
    start = jnp.full((batch, 1), config.decoder_start_token, jnp.int32)
    return start, jnp.ones((batch, 1), bool)


def _arrange(
    words: LabelWords,
    input_ids: Int[Array, "B T"],
    attention_mask: Bool[Array, "B T"],
    prefix: KeyValues | None,
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    if not words.inputs.size:
        return input_ids, attention_mask, None
    return _with_columns(words, input_ids, attention_mask, prefix)


def _with_columns(
    words: LabelWords,
    input_ids: Int[Array, "B T"],
    attention_mask: Bool[Array, "B T"],
    prefix: KeyValues | None,
) -> tuple[Int[Array, "B TS"], Bool[Array, "B TS PTS"], Int[Array, "B TS"]]:
    """Token ids, attention mask and positions of prompts with the columns behind them."""
    batch, length = input_ids.shape
    columns = words.inputs.size
    ids = jnp.concatenate([input_ids, jnp.tile(words.inputs[None], (batch, 1))], axis=1)
    causal = jnp.tril(jnp.ones((length, length), bool))
    prompt_rows = causal[None] & attention_mask[:, None, :]
    column_rows = jnp.broadcast_to(attention_mask[:, None, :], (batch, columns, length))
    own = (words.word[:, None] == words.word) & (words.offset[:, None] >= words.offset)
    own_rows = np.concatenate([np.zeros((length, columns), bool), own])
    mask = jnp.concatenate(
        [
            jnp.concatenate([prompt_rows, column_rows], axis=1),
            jnp.broadcast_to(own_rows[None], (batch, length + columns, columns)),
        ],
        axis=2,
    )
    counts = attention_mask.sum(axis=1, keepdims=True)
    positions = jnp.concatenate(
        [jnp.cumsum(attention_mask, axis=1) - 1, counts + jnp.asarray(words.offset)[None]], axis=1
    )
    if prefix is not None:
        before = jnp.broadcast_to(prefix.mask, (batch, prefix.mask.shape[1]))
        behind = (batch, length + columns, prefix.mask.shape[1])
        mask = jnp.concatenate([jnp.broadcast_to(before[:, None], behind), mask], axis=2)
        positions = positions + before.sum(axis=1, keepdims=True)
    return ids, mask, jnp.maximum(positions, 0).astype(jnp.int32)
