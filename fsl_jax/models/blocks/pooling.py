"""Pooling: from the hidden states of a text's tokens to one vector for the text."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Mask = Bool[Array, "B T"]


@dataclasses.dataclass(frozen=True)
class TextEnd:
    """The tokens by which a classifier of Hugging Face finds the last token of a text.

    Attributes:
      padding: the last token is the last one other than this. A text may end with it, where the end
        of sequence serves as padding.
      end: the last token is the last one equal to this.
    """

    padding: int | None = None
    end: int | None = None

    def counted(self, mask: Mask, tokens: Int[Array, "B T"]) -> Mask:
        """Return the tokens that may be the last one, at least one of a row.

        Args:
          mask: True where a token is real.
          tokens: the token ids.

        Returns:
          True where a token counts. As in transformers, it is the first token of a row that has
          only padding. A row without an end token keeps its real tokens.
        """
        if self.end is not None:
            ends = mask & (tokens == self.end)
            return jnp.where(jnp.any(ends, axis=1, keepdims=True), ends, mask)
        if self.padding is None:
            return mask
        other = mask & (tokens != self.padding)
        first = jnp.arange(mask.shape[1])[None] == 0
        return jnp.where(jnp.any(other, axis=1, keepdims=True), other, first)


def _mean(hidden: Float[Array, "B T D"], mask: Mask) -> Float[Array, "B D"]:
    weights = mask.astype(hidden.dtype)
    total = jnp.einsum("btd,bt->bd", hidden, weights)
    return total / jnp.maximum(weights.sum(axis=1), 1)[:, None]


def _first_token(hidden: Float[Array, "B T D"], mask: Mask) -> Float[Array, "B D"]:
    return _at(hidden, jnp.argmax(mask, axis=1))


def last_token(hidden: Float[Array, "B T D"], mask: Mask) -> Float[Array, "B D"]:
    """Return the hidden state of each row's last real token, with padding on either side."""
    return _at(hidden, mask.shape[1] - 1 - jnp.argmax(mask[:, ::-1], axis=1))


def _at(hidden: Float[Array, "B T D"], positions: Int[Array, " B"]) -> Float[Array, "B D"]:
    return jnp.take_along_axis(hidden, positions[:, None, None], axis=1)[:, 0]


POOLINGS = {"mean": _mean, "cls": _first_token, "last": last_token}
"""The poolings by name: the mean over real tokens, the first real token, the last real token."""
