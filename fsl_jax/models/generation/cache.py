"""The key-value cache of generation: as long as it will ever be, and written one slot at a time.

Where all layers slide, nothing sees further back than their window: the cache is a ring of so many
slots, and a token takes the place of the one that is a window before it. Who sees whom is told by
positions, whatever their order. Where only some layers slide (Gemma), the stacked cache of all of
them is as long as the full ones need, and windows are a matter of masks alone.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from fsl_jax.models.attention.attention import token_positions
from fsl_jax.models.outputs import KeyValues


def allocate(read: KeyValues, slots: int, copies: int, window: int | None = None) -> KeyValues:
    """A cache that begins with what was read.

    Args:
      read: keys and values of a prompt, `[L, B, T, H_kv, Dh]`.
      slots: how many tokens there will be at most, `T` of them read.
      copies: how many rows continue each row of the prompt.
      window: how many tokens any layer looks back upon; None where one looks back upon all.

    Returns:
      `[L, B * copies, S, H_kv, Dh]` with `S` of `slots` or `window`, whichever is less, and then
      with positions; rows that continue one prompt stand side by side.
    """
    ring = window is not None and window < slots
    size, length = (window if ring else slots), read.mask.shape[1]

    def place(states: Array, axis: int) -> Array:
        if length <= size:
            padding = [(0, 0)] * states.ndim
            padding[axis] = (0, size - length)
            states = jnp.pad(states, padding)
        else:
            last = jax.lax.slice_in_dim(states, length - size, length, axis=axis)
            states = jnp.roll(last, length % size, axis)
        return jnp.repeat(states, copies, axis=axis - 1)

    return KeyValues(
        place(read.keys, 2),
        place(read.values, 2),
        place(read.mask, 1),
        place(token_positions(read.mask), 1) if ring else None,
    )


def append(cache: KeyValues, new: KeyValues, written: Int[Array, ""]) -> KeyValues:
    """Writes one token of each row.

    Args:
      cache: of `S` slots.
      new: keys and values of one token, `[L, B, 1, H_kv, Dh]`.
      written: how many were written before; where that is `S` or more, the oldest is replaced.

    Returns:
      The cache.
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
    """The cache of other rows: row b of the result is row `rows[b]` of what was given."""
    return KeyValues(
        jnp.take(cache.keys, rows, axis=1),
        jnp.take(cache.values, rows, axis=1),
        jnp.take(cache.mask, rows, axis=0),
        None if cache.positions is None else jnp.take(cache.positions, rows, axis=0),
    )
