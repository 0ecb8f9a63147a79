"""The key-value cache of generation: as long as it will ever be, and written one slot at a time."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from fsl_jax.models.outputs import KeyValues


def allocate(read: KeyValues, slots: int, copies: int) -> KeyValues:
    """A cache that begins with what was read.

    Args:
      read: keys and values of a prompt, `[L, B, T, H_kv, Dh]`.
      slots: `S`, how many tokens there will be at most, `T` of them read.
      copies: how many rows continue each row of the prompt.

    Returns:
      `[L, B * copies, S, H_kv, Dh]`; rows that continue one prompt stand side by side.
    """
    free = slots - read.mask.shape[1]

    def grow(states: Array) -> Array:
        states = jnp.pad(states, ((0, 0), (0, 0), (0, free), (0, 0), (0, 0)))
        return jnp.repeat(states, copies, axis=1)

    mask = jnp.repeat(jnp.pad(read.mask, ((0, 0), (0, free))), copies, axis=0)
    return KeyValues(grow(read.keys), grow(read.values), mask)


def append(cache: KeyValues, new: KeyValues, slot: Int[Array, ""]) -> KeyValues:
    """Writes one token of each row.

    Args:
      cache: of `S` slots.
      new: keys and values of one token, `[L, B, 1, H_kv, Dh]`.
      slot: where it goes.

    Returns:
      The cache.
    """

    def write(states: Array, update: Array, axis: int) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(states, update, slot, axis)

    return KeyValues(
        write(cache.keys, new.keys.astype(cache.keys.dtype), 2),
        write(cache.values, new.values.astype(cache.values.dtype), 2),
        write(cache.mask, jnp.ones_like(new.mask), 1),
    )


def take_rows(cache: KeyValues, rows: Int[Array, "B"]) -> KeyValues:
    """The cache of other rows: row b of the result is row `rows[b]` of what was given."""
    return KeyValues(
        jnp.take(cache.keys, rows, axis=1),
        jnp.take(cache.values, rows, axis=1),
        jnp.take(cache.mask, rows, axis=0),
    )
