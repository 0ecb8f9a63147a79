"""Lay out the tokens of label words after a prompt.

All words are appended to the prompt side by side, each without its last token. Each appended token
attends to the prompt and to the earlier tokens of its own word. So one pass over a prompt scores
all words. A word of one token needs no appended token.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.outputs import KeyValues


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


def append_words(
    words: LabelWords,
    input_ids: Int[Array, "B T"],
    attention_mask: Bool[Array, "B T"],
    prefix: KeyValues | None,
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Append the tokens of the words to prompts.

    Args:
      words: the label words, with S tokens to append.
      input_ids: the prompts.
      attention_mask: True where a token is real.
      prefix: keys and values of P tokens before the prompts.

    Returns:
      Token ids `[B, T + S]`, the attention mask `[B, T + S, P + T + S]` and position ids `[B, T +
      S]`. If S is 0, the unchanged ids and mask, and None.
    """
    if not words.inputs.size:
        return input_ids, attention_mask, None
    batch, length = input_ids.shape
    ids = jnp.concatenate([input_ids, jnp.tile(words.inputs[None], (batch, 1))], axis=1)
    mask = _attention(words, attention_mask)
    positions = _positions(words, attention_mask)
    if prefix is not None:
        prefix_mask = jnp.broadcast_to(prefix.mask, (batch, prefix.mask.shape[1]))
        shape = (batch, length + words.inputs.size, prefix.mask.shape[1])
        mask = jnp.concatenate([jnp.broadcast_to(prefix_mask[:, None], shape), mask], axis=2)
        positions = positions + prefix_mask.sum(axis=1, keepdims=True)
    return ids, mask, jnp.maximum(positions, 0).astype(jnp.int32)


def _attention(words: LabelWords, attention_mask: Bool[Array, "B T"]) -> Bool[Array, "B TS TS"]:
    """Return True where a token (first axis after the batch) attends to another (second axis)."""
    batch, length = attention_mask.shape
    columns = words.inputs.size
    causal = jnp.tril(jnp.ones((length, length), bool))
    prompt_to_prompt = causal[None] & attention_mask[:, None, :]
    words_to_prompt = jnp.broadcast_to(attention_mask[:, None, :], (batch, columns, length))
    same_word = words.word_index[:, None] == words.word_index
    words_to_words = same_word & (words.offset[:, None] >= words.offset)
    to_words = np.concatenate([np.zeros((length, columns), bool), words_to_words])
    return jnp.concatenate(
        [
            jnp.concatenate([prompt_to_prompt, words_to_prompt], axis=1),
            jnp.broadcast_to(to_words[None], (batch, length + columns, columns)),
        ],
        axis=2,
    )


def _positions(words: LabelWords, attention_mask: Bool[Array, "B T"]) -> Int[Array, "B TS"]:
    counts = attention_mask.sum(axis=1, keepdims=True)
    prompt = jnp.cumsum(attention_mask, axis=1) - 1
    return jnp.concatenate([prompt, counts + jnp.asarray(words.offset)[None]], axis=1)
