"""Masks and positions of packed rows, which hold several texts each.

A text is a segment: a range of one row. All its tokens have the same number above 0, which no other
segment of the row has; padding has the number 0.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from fsl_jax.errors import InputError
from fsl_jax.models.outputs import KeyValues


def segment_positions(
    real: Bool[Array, "B T"], segment_ids: Int[Array, "B T"]
) -> Int[Array, "B T"]:
    """Number the real tokens of each segment from 0.

    Args:
      real: True where a token counts.
      segment_ids: the segment of each token.

    Returns:
      int32 positions; a token that does not count has that of the real token before it.
    """
    each = real.astype(jnp.int32)
    counts = jnp.cumsum(each, axis=1)
    begins = jnp.diff(segment_ids, axis=1, prepend=-1) != 0
    # Counts never fall along a row, so the largest one at a beginning is that of the last one.
    earlier = jax.lax.cummax(jnp.where(begins, counts - each, 0), axis=1)
    return jnp.maximum(counts - earlier - 1, 0)


def segment_mask(
    segment_ids: Int[Array, "B T"],
    key_segment_ids: Int[Array, "B S"],
    real: Bool[Array, "B S"],
) -> Bool[Array, "B T S"]:
    """Let each token see the real keys of its own segment.

    Args:
      segment_ids: the segment of each token.
      key_segment_ids: the segment of each key, which may belong to another sequence.
      real: True where a key is real, which padding is not.

    Returns:
      True where a token sees a key. Padding sees none.
    """
    same = segment_ids[:, :, None] == key_segment_ids[:, None, :]
    return same & (real & (key_segment_ids > 0))[:, None, :]


def seen_before(segment_ids: Int[Array, "B T"], earlier: KeyValues) -> Bool[Array, "B T S"]:
    """Return which tokens see which earlier ones: those of their segment, or all without segments.

    Args:
      segment_ids: the segment of each token.
      earlier: keys and values of S tokens, with batch B, or with batch 1 for all rows.

    Returns:
      True where a token sees an earlier one.
    """
    if earlier.segment_ids is not None:
        return segment_mask(segment_ids, earlier.segment_ids, earlier.mask)
    shape = (*segment_ids.shape, earlier.mask.shape[1])
    return jnp.broadcast_to(earlier.mask[:, None, :], shape)


def within_segments(
    attention_mask: Bool[Array, "B T"] | Bool[Array, "B T S"],
    position_ids: Int[Array, "B T"] | None,
    segment_ids: Int[Array, "B T"],
    prefix: KeyValues | None = None,
    *,
    causal: bool,
) -> tuple[Bool[Array, "B T S"], Int[Array, "B T"] | None]:
    """Return which tokens of packed rows see which, and their positions inside their segments.

    Args:
      attention_mask: True where a token is real; or a mask of pairs, which stays as it is.
      position_ids: of the tokens, which stay as they are; None counts them.
      segment_ids: the segment of each token.
      prefix: keys and values of P tokens before the segments.
      causal: whether no token sees a later one.

    Returns:
      A mask of pairs, with `S = P + T`, and the positions. They are None if they cannot be counted,
      since the mask was one of pairs.
    """
    if attention_mask.ndim == 3:
        return attention_mask, position_ids
    pairs = segment_mask(segment_ids, segment_ids, attention_mask)
    if causal:
        pairs = jnp.tril(pairs)
    counted = segment_positions(attention_mask, segment_ids)
    if prefix is not None:
        seen = seen_before(segment_ids, prefix)
        counted += jnp.sum(seen, axis=2, dtype=jnp.int32)
        pairs = jnp.concatenate([seen, pairs], axis=2)
    return pairs, counted if position_ids is None else position_ids


def require_segments(segment_ids: Int[Array, "B T"] | None, *earlier: KeyValues | None) -> None:
    """Raise an error if tokens without segments are to see keys and values that have segments."""
    packed = any(each is not None and each.segment_ids is not None for each in earlier)
    if packed and segment_ids is None:
        raise InputError(
            "segment_ids are missing: the tokens before these, or those of the encoder, are in "
            "packed rows. Give the number of each token's segment, int32 [B, T]; it sees the "
            "earlier tokens with the same number."
        )
