import dataclasses

import numpy as np

from fsl_jax.packing.pool import make_pool, segment_lengths

SEGMENTS = [[5, 6, 7], [8], [9, 10]]


def test_each_example_is_a_range_of_tokens():
    pool = make_pool(SEGMENTS, np.int32([1, 0, 1]))
    assert pool.tokens.tolist() == [5, 6, 7, 8, 9, 10]
    assert pool.begins.tolist() == [0, 3, 4]
    assert pool.lengths.tolist() == segment_lengths(SEGMENTS).tolist() == [3, 1, 2]
    assert pool.targets.tolist() == [1, 0, 1]
    assert {array.dtype for array in (pool.tokens, pool.begins, pool.lengths)} == {np.dtype("i4")}
    assert pool.segments() == SEGMENTS


def test_a_pool_is_cached_once_it_holds_computed_arrays():
    pool = make_pool(SEGMENTS)
    assert not pool.is_cached
    assert dataclasses.replace(pool, by_segment={"representation": np.ones((3, 2))}).is_cached
    assert dataclasses.replace(pool, by_token={"trunk": np.ones((6, 2))}).is_cached
