"""Relative position bias: a learned attention bias for each bucket of distances.

Raffel et al., 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
Transformer", https://arxiv.org/abs/1910.10683, section 2.1.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class RelativePosition(nn.Module):
    """The table of biases, `[buckets, heads]`, which all layers of a stack share.

    Attributes:
      num_heads: H.
      num_buckets: rows of the table.
      max_distance: the distance from which all tokens share the last bucket.
      bidirectional: whether tokens see later tokens; half of the buckets are then for these.
    """

    num_heads: int
    num_buckets: int
    max_distance: int
    bidirectional: bool

    @nn.compact
    def __call__(
        self, query: Int[Array, "P_B T"], keys: Int[Array, "S_B S"]
    ) -> Float[Array, "_ H T S"]:
        """Return the bias of each pair of a query and a key.

        Args:
          query: positions of the queries, `[P_B, T]`.
          keys: positions of the keys, `[S_B, S]`.

        Returns:
          float32 `[B, H, T, S]`.
        """
        shape = (self.num_buckets, self.num_heads)
        table = self.param("embedding", nn.initializers.normal(stddev=0.02), shape)
        buckets = _buckets_by_distance(self.num_buckets, self.max_distance, self.bidirectional)
        by_distance = table.astype(jnp.float32)[buckets]
        distance = keys[:, None, :] - query[:, :, None]
        row = jnp.clip(distance, -self.max_distance, self.max_distance) + self.max_distance
        return by_distance[row].transpose(0, 3, 1, 2)


def _buckets_by_distance(
    num_buckets: int, max_distance: int, bidirectional: bool
) -> Int[np.ndarray, " _"]:
    """Return the bucket of each distance from `-max_distance` to `max_distance`.

    The distance to a later token is positive. Half of the buckets hold one distance each; the
    others hold ranges of growing size. They are computed on the host, because at the border between
    two buckets a device's logarithm could round either way.
    """
    distances = range(-max_distance, max_distance + 1)
    if not bidirectional:
        return np.array([_bucket(max(-d, 0), num_buckets, max_distance) for d in distances])
    half = num_buckets // 2
    buckets = [half * (d > 0) + _bucket(abs(d), half, max_distance) for d in distances]
    return np.array(buckets)


def _bucket(distance: int, num_buckets: int, max_distance: int) -> int:
    exact = num_buckets // 2
    if distance < exact:
        return distance
    share = math.log(distance / exact) / math.log(max_distance / exact)
    return min(exact + int(share * (num_buckets - exact)), num_buckets - 1)
