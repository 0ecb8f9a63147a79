"""Leaves that are still in their checkpoint."""

import numpy as np

from fsl_jax.models.tensors.stored import StoredLeaf, in_memory


def test_a_stacked_leaf_is_read_layer_by_layer():
    asked = []

    def read(layer):
        asked.append(layer)
        return np.full(2, layer, np.float32)

    loaded = StoredLeaf((3, 2), read, layers=3).load(np.float16)
    np.testing.assert_array_equal(loaded, [[0, 0], [1, 1], [2, 2]])
    assert loaded.dtype == np.float16
    assert asked == [0, 1, 2]


def test_a_leaf_in_memory_is_given_whole():
    array = np.arange(6.0).reshape(2, 3)
    leaf = in_memory(array)
    assert leaf.shape == (2, 3)
    np.testing.assert_array_equal(leaf.load(), array)
