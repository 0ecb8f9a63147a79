"""Batches of a few examples, one in each row or packed."""

import numpy as np
import pytest

from fsl_jax.formulations import packed_batch, unpacked_batch

SEGMENTS = [[1, 2], [3, 4, 5], [6], [7, 8]]


def test_each_example_has_a_row_of_its_own():
    batch = unpacked_batch(SEGMENTS, np.array([2, 0, 1, 1], np.int32))
    assert batch.input_ids.tolist() == [[1, 2, 0], [3, 4, 5], [6, 0, 0], [7, 8, 0]]
    assert batch.segment_ids.tolist() == [[1, 1, 0], [2, 2, 2], [3, 0, 0], [4, 4, 0]]
    assert batch.targets.tolist() == [2, 0, 1, 1]
    assert batch.slots == 1
    assert unpacked_batch(SEGMENTS, length=5).input_ids.shape == (4, 5)


@pytest.mark.parametrize(("length", "rows", "slots"), [(None, 3, 2), (4, 2, 2), (8, 1, 4)])
def test_examples_share_rows(length, rows, slots):
    batch = packed_batch(SEGMENTS, length=length)
    assert batch.input_ids.shape == (rows, length or 3)
    assert batch.slots == slots
    tokens, members = np.asarray(batch.input_ids).ravel(), np.asarray(batch.members())
    assert [tokens[places].tolist() for places in members] == SEGMENTS
    assert batch.weight.tolist() == [1.0] * 4
