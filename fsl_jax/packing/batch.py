"""The packed rows of one step, gathered from a pool inside a compiled program."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax.sharding import NamedSharding
from jaxtyping import Array, Bool, Int

from fsl_jax.packing.placements import Placements, RowShape
from fsl_jax.packing.pool import Pool

# The fields below are leaves of pytrees, so annotations cannot be checked as shapes.


@struct.dataclass
class Batch:
    """B examples in R packed rows of T tokens.

    An example is a segment: a range of one row. The number of its first place is counted over all
    rows, as in `Placements`.

    Attributes:
      input_ids: the token ids, int32 `[R, T]`.
      segment_ids: the segment of each token: `b + 1` for a token of example `b`, and 0 for padding,
        int32 `[R, T]`.
      starts: the place of each example's first token, int32 `[B]`.
      lengths: the number of each example's tokens, int32 `[B]`; 0 for one that fills up the batch.
      label: the index of each example's class, int32 `[B]`.
      weight: float32 `[B]`, 1 for an example that counts, and 0 for one that fills up the batch.
      cached: arrays that were computed once: `trunk` `[R, T, D]`, the input of `top_layers`; `keys`
        and `values` `[R, T, L, H_kv, Dh]` of a text before its suffix; or `representation`
        `[B, D]`, the input of a head.
      slots: K, the largest number of examples in a row.
    """

    input_ids: Any
    segment_ids: Any
    starts: Any
    lengths: Any
    label: Any
    weight: Any
    cached: Mapping[str, Any] = struct.field(default_factory=dict)
    slots: int = struct.field(pytree_node=False, default=1)

    def members(self, before: int = 0, after: int = 0) -> Bool[Array, "B RT"]:
        """Return which places hold tokens of each example.

        Args:
          before: the number of tokens to leave out at the start of each example.
          after: the number of tokens to leave out at its end.

        Returns:
          True where a place, counted over all rows, belongs to an example.
        """
        places = jnp.arange(self.segment_ids.size, dtype=jnp.int32)[None]
        first = self.starts[:, None] + before
        return (places >= first) & (places < (self.starts + self.lengths)[:, None] - after)

    def last(self, after: int = 0) -> Int[Array, " B"]:
        """Return the place of each example's last token, or of the one `after` tokens before it."""
        return jnp.maximum(self.starts + self.lengths - 1 - after, 0)

    def slot_of_example(self) -> Int[Array, " B"]:
        """Return the slot of each example: `r * K + k` for the k-th example of row `r`.

        Examples that fill up the batch have the slot `R * K`, which does not exist.
        """
        length = self.segment_ids.shape[1]
        row = self.starts // length
        counts = self.weight > 0
        earlier = (row[:, None] == row[None]) & (self.starts[:, None] > self.starts[None])
        earlier &= counts[None]
        slot = row * self.slots + earlier.sum(axis=1, dtype=jnp.int32)
        return jnp.where(counts, slot, len(self.segment_ids) * self.slots)

    def example_of_slot(self) -> Int[Array, "R K"]:
        """Return the segment in each slot: `b + 1` for example `b`, and 0 for an empty slot."""
        rows = len(self.segment_ids)
        empty = jnp.zeros(rows * self.slots, jnp.int32)
        numbers = jnp.arange(1, len(self.starts) + 1, dtype=jnp.int32)
        return empty.at[self.slot_of_example()].set(numbers, mode="drop").reshape(rows, -1)


def gather(pool: Pool, placements: Placements, sharding: NamedSharding | None = None) -> Batch:
    """Gather the packed rows of one step.

    Args:
      pool: the examples.
      placements: B examples and their places, `[B]`.
      sharding: of the rows, and of what was computed once for the examples; None for one device.

    Returns:
      The rows, with what was computed once for their tokens and examples.
    """
    examples, shape = placements.examples, placements.shape
    counts = placements.weight > 0
    lengths = jnp.where(counts, pool.lengths[examples], 0)
    owner, token = _tokens_at(pool.begins[examples], lengths, placements.starts, shape)
    if sharding is not None:
        owner, token = jax.lax.with_sharding_constraint((owner, token), sharding)
        examples = jax.lax.with_sharding_constraint(examples, sharding)
    by_token = {name: array[token] for name, array in pool.by_token.items()}
    by_example = {name: array[examples] for name, array in pool.by_example.items()}
    return Batch(
        input_ids=jnp.where(owner > 0, pool.tokens[token], 0),
        segment_ids=owner,
        starts=placements.starts,
        lengths=lengths,
        label=pool.label[examples],
        weight=placements.weight,
        cached=by_token | by_example,
        slots=shape.slots,
    )


def _tokens_at(
    begins: Int[Array, " B"], lengths: Int[Array, " B"], starts: Int[Array, " B"], shape: RowShape
) -> tuple[Int[Array, "R T"], Int[Array, "R T"]]:
    """Return the segment at each place of the rows, 0 for padding, and its token in the pool."""
    places = jnp.arange(shape.tokens, dtype=jnp.int32)[:, None]
    inside = (places >= starts[None]) & (places < (starts + lengths)[None])
    # Segments do not overlap, so at most one term of each sum is not 0.
    numbers = jnp.arange(1, len(starts) + 1, dtype=jnp.int32)
    owner = jnp.sum(jnp.where(inside, numbers[None], 0), axis=1, dtype=jnp.int32)
    token = jnp.sum(jnp.where(inside, (begins - starts)[None] + places, 0), axis=1, dtype=jnp.int32)
    return owner.reshape(shape.rows, -1), token.reshape(shape.rows, -1)
