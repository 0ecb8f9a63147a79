"""Cutting the parameters in two and joining them."""

import jax
import numpy as np
import pytest

from fsl_jax.adapt.partition import combine, partition
from fsl_jax.adapt.tree import flatten

PARAMS = {"a": {"kernel": np.ones(2), "bias": np.zeros(1)}, "b": {"kernel": np.ones(3)}}
MASK = {"a": {"kernel": True, "bias": False}, "b": {"kernel": False}}


def test_each_leaf_is_in_one_half_and_joining_gives_the_whole():
    trainable, frozen = partition(PARAMS, MASK)
    assert [path for path, leaf in flatten(trainable).items() if leaf is not None] == ["a/kernel"]
    assert frozen["a"]["kernel"] is None
    whole = combine(trainable, frozen)
    assert all(flatten(whole)[path] is leaf for path, leaf in flatten(PARAMS).items())


def test_a_half_can_be_cut_again():
    _, frozen = partition(PARAMS, MASK)
    first, rest = partition(frozen, {"a": {"kernel": True, "bias": True}, "b": {"kernel": False}})
    assert jax.tree.leaves(first) == [PARAMS["a"]["bias"]]
    assert first["a"]["kernel"] is None
    assert rest["a"]["kernel"] is None
    assert (
        flatten(combine(partition(PARAMS, MASK)[0], first, rest)).keys() == flatten(PARAMS).keys()
    )


def test_gradients_exist_for_the_trainable_half_alone():
    trainable, frozen = partition(PARAMS, MASK)

    def loss(part, rest):
        return sum(leaf.sum() for leaf in jax.tree.leaves(combine(part, rest)))

    gradient = jax.grad(loss)(trainable, frozen)
    assert [path for path, leaf in flatten(gradient).items() if leaf is not None] == ["a/kernel"]


@pytest.mark.parametrize(("left", "right", "found"), [(None, None, 0), (np.ones(1), np.ones(1), 2)])
def test_a_place_with_no_leaf_or_with_two_is_refused(left, right, found):
    with pytest.raises(ValueError, match=f"expected one leaf .* found {found}"):
        combine({"a": left}, {"a": right})
