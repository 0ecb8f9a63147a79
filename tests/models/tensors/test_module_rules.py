"""The names of the tensors of whole modules."""

import pytest

from fsl_jax.models.tensors.module_rules import (
    dense_names,
    embedding_names,
    norm_names,
    output_names,
)
from fsl_jax.models.tensors.tensor_map import KEEP, TRANSPOSE, Name

MODULES = {"a.{layer}": "layers/a", "b": "b"}


def test_tables_of_vectors_have_a_weight():
    assert embedding_names({"a": "x"}) == (Name("a.weight", "x/embedding"),)


@pytest.mark.parametrize("transform", [TRANSPOSE, KEEP])
def test_linear_maps_have_a_kernel_and_may_have_a_bias(transform):
    kernels = (
        Name("a.{layer}.weight", "layers/a/kernel", transform),
        Name("b.weight", "b/kernel", transform),
    )
    biases = (Name("a.{layer}.bias", "layers/a/bias"), Name("b.bias", "b/bias"))
    assert dense_names(MODULES, transform, bias=False) == kernels
    assert dense_names(MODULES, transform) == kernels + biases


def test_norms_have_a_scale_and_may_have_a_bias():
    scales = (Name("a.{layer}.weight", "layers/a/scale"), Name("b.weight", "b/scale"))
    biases = (Name("a.{layer}.bias", "layers/a/bias"), Name("b.bias", "b/bias"))
    assert norm_names(MODULES, bias=False) == scales
    assert norm_names(MODULES) == scales + biases


def test_an_output_embedding_is_read_unless_it_is_tied():
    (name,), copies = output_names(tied=False)
    assert (name.path, copies) == ("unembedding/kernel", ())
    names, (copy,) = output_names(tied=True)
    assert (names, copy.replace("\\", "")) == ((), name.tensor)
