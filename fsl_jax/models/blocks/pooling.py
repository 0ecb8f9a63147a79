"""Pooling: from the hidden states of a text's tokens to one vector for the text.

Either each text has a row of its own, and the hidden states are `[B, T, D]` with a mask `[B, T]`.
Or the texts are in packed rows: the hidden states of all rows follow one another, `[S, D]`, and the
mask `[B, S]` says which of them belong to each text.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Mask = Bool[Array, "B T"]
Hidden = Float[Array, "B T D"] | Float[Array, "T D"]


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

    def counted(self, mask: Mask, tokens: Int[Array, "B T"] | Int[Array, " T"]) -> Mask:
        """Return the tokens that may be the last one, at least one of a text.

        Args:
          mask: True where a token belongs to a text.
          tokens: the token ids.

        Returns:
          True where a token counts. As in transformers, it is the first token of a text that has
          only padding. A text without an end token keeps its tokens.
        """
        ids = jnp.atleast_2d(tokens)
        if self.end is not None:
            ends = mask & (ids == self.end)
            return jnp.where(jnp.any(ends, axis=1, keepdims=True), ends, mask)
        if self.padding is None:
            return mask
        other = mask & (ids != self.padding)
        first = jnp.arange(mask.shape[1])[None] == jnp.argmax(mask, axis=1, keepdims=True)
        return jnp.where(jnp.any(other, axis=1, keepdims=True), other, first)


def _mean(hidden: Hidden, mask: Mask) -> Float[Array, "B D"]:
    weights = mask.astype(hidden.dtype)
    total = jnp.einsum("btd,bt->bd" if hidden.ndim == 3 else "td,bt->bd", hidden, weights)
    return total / jnp.maximum(weights.sum(axis=1), 1)[:, None]


def _first_token(hidden: Hidden, mask: Mask) -> Float[Array, "B D"]:
    return _at(hidden, jnp.argmax(mask, axis=1))


def last_token(hidden: Hidden, mask: Mask) -> Float[Array, "B D"]:
    """Return the hidden state of each text's last token, with padding on either side."""
    return _at(hidden, mask.shape[1] - 1 - jnp.argmax(mask[:, ::-1], axis=1))


def _at(hidden: Hidden, places: Int[Array, " B"]) -> Float[Array, "B D"]:
    if hidden.ndim == 2:
        return hidden[places]
    return jnp.take_along_axis(hidden, places[:, None, None], axis=1)[:, 0]


POOLINGS = {"mean": _mean, "cls": _first_token, "last": last_token}
"""The poolings by name: the mean over a text's tokens, its first token, its last token."""
