"""Stacks of layers are cut and joined, wherever they are in the tree."""

import jax
import numpy as np
import pytest

from fsl_jax.models.blocks.sections import cut_like, cut_sections, join_sections


@pytest.fixture
def tree():
    def stack(layers):
        return {"mlp": {"kernel": np.arange(layers * 4.0).reshape(layers, 2, 2)}}

    return {
        "encoder": {"layers": stack(2), "final_norm": {"scale": np.ones(2)}},
        "decoder": {"layers": stack(3)},
        "embedding": np.ones(3),
    }


@pytest.mark.parametrize("below", [0, 1, 3])
def test_the_segments_are_the_stack_one_after_the_other(tree, below):
    cut = tree | {"decoder": cut_sections(tree["decoder"], below)}
    depths = [len(cut["decoder"][name]["mlp"]["kernel"]) for name in ("layers", "top_layers")]
    assert depths == [below, 3 - below]
    for again in (join_sections(cut), join_sections(tree)):
        assert jax.tree.structure(again) == jax.tree.structure(tree)
        jax.tree.map(np.testing.assert_array_equal, again, tree)


def test_a_tree_is_cut_as_another_one_is(tree):
    other = tree | {"decoder": cut_sections(tree["decoder"], 1), "head": {"bias": np.ones(2)}}
    cut = cut_like(jax.tree.map(lambda leaf: leaf + 1, tree), other)
    assert cut.keys() == tree.keys()
    for name in ("layers", "top_layers"):
        jax.tree.map(
            lambda leaf, before: np.testing.assert_array_equal(leaf, before + 1),
            cut["decoder"][name],
            other["decoder"][name],
        )
    assert "top_layers" not in cut["encoder"]
