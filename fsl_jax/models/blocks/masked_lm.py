"""The head of a masked language model.

Its leaves are under `lm_head`, and under `unembedding` if the output embedding is not tied to the
word embedding.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fsl_jax.models.blocks.functions import gelu
from fsl_jax.models.blocks.layers import Dense, Embedding, LayerNorm, Unembedding
from fsl_jax.models.outputs import Params


class WordEmbeddings(nn.Module):
    """The word embedding of the model, which the head shares."""

    config: Any

    def setup(self):
        """Name the parts."""
        # `dtype` is that of embedded tokens, and the head embeds none.
        dtype = jnp.dtype("float32")
        self.word = Embedding(self.config.vocab_size, self.config.hidden_size, dtype)


class TokenTransform(nn.Module):
    """The layers between the hidden states and the word embedding."""

    config: Any

    def setup(self):
        """Name the parts."""
        self.dense = Dense(self.config.hidden_size)
        self.norm = LayerNorm(self.config.norm_epsilon)
        self.bias = self.param("bias", nn.initializers.zeros, (self.config.vocab_size,))

    def __call__(self, hidden: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Apply a linear map, a GELU and a norm."""
        return self.norm(gelu(self.dense(hidden)))


class MaskedLM(nn.Module):
    """Logits of tokens by the output embedding, with a bias for each token."""

    config: Any

    def setup(self):
        """Name the parts."""
        self.lm_head = TokenTransform(self.config)
        if self.config.tied:
            self.embeddings = WordEmbeddings(self.config)
        else:
            self.unembedding = Unembedding(self.config.vocab_size)

    def __call__(
        self, hidden: Float[Array, "*batch D"], rows: Int[Array, " n"] | None = None
    ) -> Float[Array, "*batch n"]:
        """Return the float32 logits of all tokens, or of those whose ids are `rows`."""
        flat = self.lm_head(hidden.reshape(1, -1, hidden.shape[-1]))[0]
        bias = self.lm_head.bias if rows is None else self.lm_head.bias[rows]
        output = self.embeddings.word.attend if self.config.tied else self.unembedding
        logits = output(flat, rows) + bias.astype(jnp.float32)[None]
        return logits.reshape(*hidden.shape[:-1], -1)


def masked_logits(
    config: Any,
    params: Params,
    hidden: Float[Array, "*batch D"],
    rows: Int[Array, " n"] | None,
) -> Float[Array, "*batch n"]:
    """Return the logits of a masked language model.

    Args:
      config: of the model.
      params: with the head's leaves.
      hidden: hidden states of the model.
      rows: the ids of the tokens whose logits are returned; all tokens if None.

    Returns:
      float32 logits.
    """
    logits: Any = MaskedLM(config).apply({"params": params}, hidden, rows)
    return logits
