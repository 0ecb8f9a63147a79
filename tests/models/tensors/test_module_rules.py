"""The names of the tensors of whole modules."""

import pytest

from fsl_jax.models.tensors.module_rules import (
    OUTPUT,
    dense_rules,
    embedding_rules,
    norm_rules,
    output_rules,
)
from fsl_jax.models.tensors.tensor_map import KEEP, TRANSPOSE, TensorRule

MODULES = {"a.{layer}": "layers/a", "b": "b"}


def test_tables_of_vectors_have_a_weight():
    assert embedding_rules({"a": "x"}) == (TensorRule("a.weight", "x/embedding"),)


@pytest.mark.parametrize("transform", [TRANSPOSE, KEEP])
def test_linear_maps_have_a_kernel_and_may_have_a_bias(transform):
    kernels = (
        TensorRule("a.{layer}.weight", "layers/a/kernel", transform),
        TensorRule("b.weight", "b/kernel", transform),
    )
    biases = (TensorRule("a.{layer}.bias", "layers/a/bias"), TensorRule("b.bias", "b/bias"))
    assert dense_rules(MODULES, transform, bias=False) == kernels
    assert dense_rules(MODULES, transform) == kernels + biases


def test_norms_have_a_scale_and_may_have_a_bias():
    scales = (TensorRule("a.{layer}.weight", "layers/a/scale"), TensorRule("b.weight", "b/scale"))
    biases = (TensorRule("a.{layer}.bias", "layers/a/bias"), TensorRule("b.bias", "b/bias"))
    assert norm_rules(MODULES, bias=False) == scales
    assert norm_rules(MODULES) == scales + biases


def test_an_output_embedding_is_read_unless_it_is_tied():
    (rule,) = output_rules(tied=False)
    assert (rule.path, rule.tensor) == ("unembedding/kernel", OUTPUT)
    assert output_rules(tied=True) == ()
