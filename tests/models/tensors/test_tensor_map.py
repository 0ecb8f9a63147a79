"""The rules of a tensor map: names, shapes and parts of tensors."""

import numpy as np

from fsl_jax.models.tensors.tensor_map import TRANSPOSE, TensorMap, TensorRule


def test_a_name_has_no_prefix_and_no_former_parts():
    tensor_map = TensorMap((), prefix="body.", renamed=(("gamma", "weight"),))
    assert tensor_map.canonical("body.norm.gamma") == "norm.weight"
    assert tensor_map.canonical("norm.weight") == "norm.weight"


def test_patterns_match_whole_names():
    tensor_map = TensorMap((), ignored=(r"buffer\.\d+",))
    assert tensor_map.is_ignored("buffer.12")
    assert not tensor_map.is_ignored("buffer.12.weight")


def test_a_part_is_cut_out_of_its_tensor():
    rule = TensorRule("fused", "second/kernel", TRANSPOSE, (1, 2), axis=0)
    tensor = np.arange(20).reshape(4, 5)
    leaf = rule.to_leaf(tensor)
    np.testing.assert_array_equal(leaf, tensor[2:].T)
    assert rule.tensor_shape(leaf.shape) == tensor.shape
