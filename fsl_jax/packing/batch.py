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

    An example has W segments, in all S; most formulations need one. A segment is a range of one
    row. The number of its first place is counted over all rows, as in `Placements`.

    Attributes:
      input_ids: the token ids, int32 `[R, T]`.
      segment_ids: the segment of each token: `s + 1` for a token of segment `s`, and 0 for padding,
        int32 `[R, T]`. Example `b` has the segments from `b * W` on.
      starts: the place of each segment's first token, int32 `[S]`.
      lengths: the number of each segment's tokens, int32 `[S]`; 0 for one that is not needed.
      weight: float32 `[B]`, 1 for an example that counts, and 0 for one that fills up the batch.
      targets: what is to be predicted: an array `[B, ...]`, or a tree of such; None if there is
        nothing.
      features: what a formulation needs to know of each segment, as arrays `[S, ...]`.
      cached: arrays that were computed once: `trunk` `[R, T, D]`, the input of `top_layers`; `keys`
        and `values` `[R, T, L, H_kv, Dh]` of a text before its suffix; or `representation`
        `[S, D]`, the input of a head.
      slots: K, the largest number of segments in a row.
    """

    input_ids: Any
    segment_ids: Any
    starts: Any
    lengths: Any
    weight: Any
    targets: Any = None
    features: Mapping[str, Any] = struct.field(default_factory=dict)
    cached: Mapping[str, Any] = struct.field(default_factory=dict)
    slots: int = struct.field(pytree_node=False, default=1)

    @property
    def width(self) -> int:
        """W, the number of segments of each example."""
        return len(self.starts) // len(self.weight)

    def members(self, before: int = 0, after: int = 0) -> Bool[Array, "S RT"]:
        """Return which places hold tokens of each segment.

        Args:
          before: the number of tokens to leave out at the start of each segment.
          after: the number of tokens to leave out at its end.

        Returns:
          True where a place, counted over all rows, belongs to a segment.
        """
        places = jnp.arange(self.segment_ids.size, dtype=jnp.int32)[None]
        first = self.starts[:, None] + before
        return (places >= first) & (places < (self.starts + self.lengths)[:, None] - after)

    def last(self, after: int = 0) -> Int[Array, " S"]:
        """Return the place of each segment's last token, or of the one `after` tokens before it."""
        return jnp.maximum(self.starts + self.lengths - 1 - after, 0)

    def slot_of_segment(self) -> Int[Array, " S"]:
        """Return the slot of each segment: `r * K + k` for the k-th segment of row `r`.

        Segments without tokens have the slot `R * K`, which does not exist.
        """
        length = self.segment_ids.shape[1]
        row = self.starts // length
        counts = self.lengths > 0
        earlier = (row[:, None] == row[None]) & (self.starts[:, None] > self.starts[None])
        earlier &= counts[None]
        slot = row * self.slots + earlier.sum(axis=1, dtype=jnp.int32)
        return jnp.where(counts, slot, len(self.segment_ids) * self.slots)

    def segment_of_slot(self) -> Int[Array, "R K"]:
        """Return the segment in each slot: `s + 1` for segment `s`, and 0 for an empty slot."""
        rows = len(self.segment_ids)
        empty = jnp.zeros(rows * self.slots, jnp.int32)
        numbers = jnp.arange(1, len(self.starts) + 1, dtype=jnp.int32)
        return empty.at[self.slot_of_segment()].set(numbers, mode="drop").reshape(rows, -1)


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
    segments = _segments(examples, pool.width)
    counts = jnp.repeat(placements.weight > 0, pool.width)
    lengths = jnp.where(counts, pool.lengths[segments], 0)
    owner, token = _tokens_at(pool.begins[segments], lengths, placements.starts, shape)
    if sharding is not None:
        owner, token = jax.lax.with_sharding_constraint((owner, token), sharding)
        segments = jax.lax.with_sharding_constraint(segments, sharding)
    by_token = {name: array[token] for name, array in pool.by_token.items()}
    by_segment = {name: array[segments] for name, array in pool.by_segment.items()}
    return Batch(
        input_ids=jnp.where(owner > 0, pool.tokens[token], 0),
        segment_ids=owner,
        starts=placements.starts,
        lengths=lengths,
        weight=placements.weight,
        targets=jax.tree.map(lambda array: array[examples], pool.targets),
        features={name: array[segments] for name, array in pool.features.items()},
        cached=by_token | by_segment,
        slots=shape.slots,
    )


def _segments(examples: Int[Array, " B"], width: int) -> Int[Array, " S"]:
    """Return the numbers of the segments of examples in the pool."""
    within = jnp.arange(width, dtype=jnp.int32)
    return (examples[:, None] * width + within[None]).reshape(-1)


def _tokens_at(
    begins: Int[Array, " S"], lengths: Int[Array, " S"], starts: Int[Array, " S"], shape: RowShape
) -> tuple[Int[Array, "R T"], Int[Array, "R T"]]:
    """Return the segment at each place of the rows, 0 for padding, and its token in the pool."""
    places = jnp.arange(shape.tokens, dtype=jnp.int32)[:, None]
    inside = (places >= starts[None]) & (places < (starts + lengths)[None])
    # Segments do not overlap, so at most one term of each sum is not 0.
    numbers = jnp.arange(1, len(starts) + 1, dtype=jnp.int32)
    owner = jnp.sum(jnp.where(inside, numbers[None], 0), axis=1, dtype=jnp.int32)
    token = jnp.sum(jnp.where(inside, (begins - starts)[None] + places, 0), axis=1, dtype=jnp.int32)
    return owner.reshape(shape.rows, -1), token.reshape(shape.rows, -1)
