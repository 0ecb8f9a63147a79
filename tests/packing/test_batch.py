import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from fsl_jax.packing.batch import Batch, gather
from fsl_jax.packing.placements import Placements, RowShape
from fsl_jax.packing.pool import make_pool
from fsl_jax.sharding import make_mesh

SEGMENTS = [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14]]
POOL = dataclasses.replace(
    make_pool(SEGMENTS, np.int32([3, 2, 1, 0])),
    by_token={"trunk": np.arange(10, dtype=np.float32)[:, None]},
    by_segment={"representation": np.arange(4, dtype=np.float32)[:, None]},
)
# The third example only fills up the batch, and the last stands first in its row.
PLACEMENTS = Placements(
    examples=np.int32([3, 0, 1, 2]),
    starts=np.int32([6, 2, 0, 0]),
    weight=np.float32([1, 1, 0, 1]),
    shape=RowShape(rows=2, length=6, slots=3),
)


@pytest.fixture(scope="module")
def batch():
    return jax.jit(gather)(POOL, PLACEMENTS)


def test_rows_have_the_tokens_of_their_segments(batch):
    assert batch.input_ids.tolist() == [[9, 10, 5, 6, 7, 0], [11, 12, 13, 14, 0, 0]]
    assert batch.segment_ids.tolist() == [[4, 4, 2, 2, 2, 0], [1, 1, 1, 1, 0, 0]]
    assert batch.lengths.tolist() == [4, 3, 0, 2]
    assert batch.targets.tolist() == [0, 3, 2, 1]


def test_what_was_computed_once_is_gathered_too(batch):
    trunk = np.where(batch.segment_ids > 0, batch.cached["trunk"][..., 0], -1)
    assert trunk.tolist() == [[4, 5, 0, 1, 2, -1], [6, 7, 8, 9, -1, -1]]
    assert batch.cached["representation"].ravel().tolist() == [3, 0, 1, 2]


def test_members_are_the_places_of_an_example(batch):
    def members(**left_out):
        taken = jax.jit(lambda batch: batch.members(**left_out))(batch)
        return [np.flatnonzero(row).tolist() for row in taken]

    assert members() == [[6, 7, 8, 9], [2, 3, 4], [], [0, 1]]
    assert members(before=1, after=1) == [[7, 8], [3], [], []]


def test_the_last_place_of_an_example(batch):
    counts = PLACEMENTS.weight > 0
    assert batch.last()[counts].tolist() == [9, 4, 1]
    assert batch.last(after=1)[counts].tolist() == [8, 3, 0]
    assert (batch.last() >= 0).all()


def test_slots_are_counted_in_the_order_of_places(batch):
    # Row 0 has the slots 0 to 2, row 1 those from 3; 6 does not exist.
    assert jax.jit(Batch.slot_of_segment)(batch).tolist() == [3, 1, 6, 0]
    assert jax.jit(Batch.segment_of_slot)(batch).tolist() == [[4, 2, 0], [1, 0, 0]]


def test_an_example_may_have_several_segments():
    pool = make_pool(
        [[5, 6], [7, 8, 9], [10], []],
        np.int32([1, 0]),
        {"window": np.int32([0, 1, 2, 3])},
        width=2,
    )
    placements = Placements(
        examples=np.int32([1, 0, 1]),
        starts=np.int32([2, 0, 0, 4, 0, 0]),
        weight=np.float32([1, 1, 0]),
        shape=RowShape(rows=2, length=4, slots=2),
    )
    batch = jax.jit(gather)(pool, placements)
    assert batch.input_ids.tolist() == [[5, 6, 10, 0], [7, 8, 9, 0]]
    assert batch.segment_ids.tolist() == [[3, 3, 1, 0], [4, 4, 4, 0]]
    assert batch.lengths.tolist() == [1, 0, 2, 3, 0, 0]
    assert batch.targets.tolist() == [0, 1, 0]
    assert batch.features["window"].tolist() == [2, 3, 0, 1, 2, 3]
    assert batch.segment_of_slot().tolist() == [[3, 1], [4, 0]]


def test_rows_may_be_spread_over_devices(batch):
    sharding = NamedSharding(make_mesh(batch=2), PartitionSpec("batch"))
    spread = jax.jit(lambda pool, placed: gather(pool, placed, sharding))(POOL, PLACEMENTS)
    for leaf, expected in zip(jax.tree.leaves(spread), jax.tree.leaves(batch), strict=True):
        np.testing.assert_array_equal(leaf, jnp.asarray(expected))
    assert spread.segment_ids.sharding.spec == PartitionSpec("batch")
