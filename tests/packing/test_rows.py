import jax
import numpy as np
import pytest

from fsl_jax.packing.batch import gather
from fsl_jax.packing.placements import Placements, RowShape
from fsl_jax.packing.pool import make_pool
from fsl_jax.packing.rows import fill_rows, place_rows
from fsl_jax.sharding import make_mesh

SEGMENTS = [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14]]
PLACEMENTS = Placements(
    examples=np.int32([3, 0, 2, 0]),
    starts=np.int32([6, 0, 3, 0]),
    weight=np.float32([1, 1, 1, 0]),
    shape=RowShape(rows=2, length=6, slots=2),
)


def test_rows_are_those_that_a_program_gathers():
    rows = fill_rows(SEGMENTS, PLACEMENTS)
    assert rows.input_ids.tolist() == [[5, 6, 7, 9, 10, 0], [11, 12, 13, 14, 0, 0]]
    assert rows.segment_ids.tolist() == [[2, 2, 2, 3, 3, 0], [1, 1, 1, 1, 0, 0]]
    gathered = jax.jit(gather)(make_pool(SEGMENTS), PLACEMENTS)
    assert jax.tree.structure(rows) == jax.tree.structure(gathered)
    for own, expected in zip(jax.tree.leaves(rows), jax.tree.leaves(gathered), strict=True):
        assert own.dtype == expected.dtype
        np.testing.assert_array_equal(own, expected)


@pytest.mark.parametrize(("groups", "rows_are_whole"), [(None, True), (2, False), (4, True)])
def test_rows_are_spread_over_the_devices_if_they_divide_evenly(groups, rows_are_whole):
    rows = fill_rows(SEGMENTS, PLACEMENTS)
    placed = place_rows(rows, groups and make_mesh(batch=groups))
    for own, expected in zip(jax.tree.leaves(placed), jax.tree.leaves(rows), strict=True):
        assert isinstance(own, jax.Array)
        np.testing.assert_array_equal(own, expected)
    assert placed.input_ids.sharding.is_fully_replicated == rows_are_whole
    assert placed.starts.sharding.is_fully_replicated
