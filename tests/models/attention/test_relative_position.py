"""The buckets of transformers, and the table by positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.attention.relative_position import RelativePosition

POSITIONS = np.arange(300, dtype=np.int32)


def bias(buckets, distance, bidirectional, query, keys):
    """The bias of a table that holds the number of each bucket, `[T, S]`."""
    module = RelativePosition(1, buckets, distance, bidirectional)
    table = jnp.arange(buckets, dtype=jnp.float32)[:, None]
    positions = jnp.asarray(query)[None], jnp.asarray(keys)[None]
    found = module.apply({"params": {"embedding": table}}, *positions)
    return np.asarray(found)[0, 0]


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "distance"), [(32, 128), (8, 12), (10, 50), (64, 256)])
def test_buckets_are_those_of_transformers(buckets, distance, bidirectional):
    import torch
    from transformers.models.t5.modeling_t5 import T5Attention

    found = bias(buckets, distance, bidirectional, POSITIONS, POSITIONS)
    distances = torch.tensor(POSITIONS[None, :] - POSITIONS[:, None])
    expected = T5Attention._relative_position_bucket(distances, bidirectional, buckets, distance)
    np.testing.assert_array_equal(found, expected.numpy())


def test_what_counts_is_the_distance_of_positions():
    found = bias(32, 128, True, np.array([7, 0], np.int32), np.array([7, 9, 300], np.int32))
    everywhere = bias(32, 128, True, POSITIONS, np.append(POSITIONS, 300).astype(np.int32))
    np.testing.assert_array_equal(found, everywhere[[7, 0]][:, [7, 9, 300]])
    np.testing.assert_array_equal(found[0], [0, 18, 31])


def test_rows_may_have_positions_of_their_own():
    module = RelativePosition(3, 8, 12, bidirectional=True)
    query, keys = jnp.array([[0, 1], [5, 6]], jnp.int32), jnp.array([[2, 3, 4]], jnp.int32)
    variables = module.init(jax.random.key(0), query, keys)
    found = module.apply(variables, query, keys)
    assert found.shape == (2, 3, 2, 3)
    np.testing.assert_array_equal(found[1:], module.apply(variables, query[1:], keys))
