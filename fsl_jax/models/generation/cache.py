"""The key-value cache of generation: allocated at its full length, written one slot at a time.

If all layers have a sliding window, no token sees further back than the window. The cache is then a
ring buffer with one slot for each position of the window, and each new token replaces the oldest.
Masks depend on positions, so the order of slots does not matter.

If only some layers have a window (Gemma), all layers share one stacked cache that is as long as the
full layers need, and the window is only in the masks.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from fsl_jax.models.attention.attention import token_positions
from fsl_jax.models.outputs import KeyValues


def allocate(read: KeyValues, slots: int, copies: int, window: int | None = None) -> KeyValues:
    """Allocate a cache that starts with the keys and values of a prompt.

    Args:
      read: keys and values of a prompt, `[L, B, T, H_kv, Dh]`.
      slots: the maximum number of tokens, including the `T` tokens of the prompt.
      copies: the number of rows that continue each row of the prompt.
      window: the longest window of any layer; None if a layer sees all tokens.

    Returns:
      `[L, B * copies, S, H_kv, Dh]`; rows that continue one prompt are neighbours. `S` is the
      smaller of `slots` and `window`. If it is the window, the cache has positions.
    """
    ring = window is not None and window < slots
    size, length = (window if ring else slots), read.mask.shape[1]

    def fill(states: Array, axis: int) -> Array:
        if length <= size:
            padding = [(0, 0)] * states.ndim
            padding[axis] = (0, size - length)
            states = jnp.pad(states, padding)
        else:
            last = jax.lax.slice_in_dim(states, length - size, length, axis=axis)
            states = jnp.roll(last, length % size, axis)
        return jnp.repeat(states, copies, axis=axis - 1)

    return KeyValues(
        fill(read.keys, 2),
        fill(read.values, 2),
        fill(read.mask, 1),
        fill(token_positions(read.mask), 1) if ring else None,
    )


def append(cache: KeyValues, new: KeyValues, written: Int[Array, ""]) -> KeyValues:
    """Write one token of each row into the cache.

    Args:
      cache: a cache of `S` slots.
      new: keys and values of one token, `[L, B, 1, H_kv, Dh]`.
      written: the number of tokens written before; from `S` on, the oldest is replaced.

    Returns:
      The cache with the token.
    """
    slot = written % cache.mask.shape[1]

    def write(states: Array, update: Array, axis: int) -> Array:
        update = update.astype(states.dtype)
        return jax.lax.dynamic_update_slice_in_dim(states, update, slot, axis)

    return KeyValues(
        write(cache.keys, new.keys, 2),
        write(cache.values, new.values, 2),
        write(cache.mask, jnp.ones_like(new.mask), 1),
        None if cache.positions is None else write(cache.positions, new.positions, 1),
    )


def take_rows(cache: KeyValues, rows: Int[Array, " B"]) -> KeyValues:
    """Select rows: row `b` of the result is row `rows[b]` of the cache."""
    return KeyValues(
        jnp.take(cache.keys, rows, axis=1),
        jnp.take(cache.values, rows, axis=1),
        jnp.take(cache.mask, rows, axis=0),
        None if cache.positions is None else jnp.take(cache.positions, rows, axis=0),
    )
