"""Runs stacked: each drawn at its own size, the base held once, and taken apart again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import Full, LoRA, TopLayers, attach
from fsl_jax.adapt.tree import flatten
from fsl_jax.formulations.batches import unpacked_batch
from fsl_jax.training.stacked_runs import run_key, stack_padded, stack_runs, stack_shapes

METHODS = [LoRA(rank=3, alpha=6.0), LoRA(rank=1), LoRA(rank=2)]
SEEDS = [13, 21, 13]
A = "layers/attention/query/lora_a"
SCALE = "layers/attention/query/lora_scale"


def present(tree):
    return {path: leaf for path, leaf in flatten(tree).items() if leaf is not None}


@pytest.fixture(scope="module")
def formulation(tiny_formulations):
    return tiny_formulations["bert-head"]


@pytest.fixture(scope="module")
def stack(formulation):
    return stack_runs(formulation, formulation.pretrained.params, METHODS, SEEDS)


def test_trees_are_padded_with_zeros_to_the_largest_at_each_place():
    trees = [{"a": jnp.ones((2, 1)), "b": None}, {"a": jnp.full((1, 3), 2.0), "b": None}]
    found = stack_padded(trees)
    assert found["b"] is None
    np.testing.assert_array_equal(found["a"], [[[1, 0, 0], [1, 0, 0]], [[2, 2, 2], [0, 0, 0]]])


def test_leaves_fall_into_three_groups(stack):
    added = {"lora_a", "lora_b", "kernel", "bias"}
    assert {path.rpartition("/")[2] for path in present(stack.trainable)} == added
    assert {path.rpartition("/")[2] for path in present(stack.frozen_leaves)} == {"lora_scale"}
    groups = [
        present(group).keys() for group in (stack.trainable, stack.frozen_leaves, stack.shared)
    ]
    assert sum(map(len, groups)) == len(set().union(*groups))
    trained = {path for path, chosen in flatten(stack.mask).items() if chosen}
    assert groups[0] == trained


def test_the_base_is_held_once_and_not_copied(stack, formulation):
    base = flatten(formulation.pretrained.params)
    shared = present(stack.shared)
    assert shared.keys() == base.keys()
    assert all(shared[path] is base[path] for path in base)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_each_run_is_drawn_at_its_own_rank_from_its_own_seed(stack, formulation, number):
    head_key, method_key = jax.random.split(run_key(SEEDS[number]))
    params = formulation.prepare(formulation.pretrained.params, head_key)
    expected = flatten(attach(params, METHODS[number], method_key)[0])
    own = present(stack.run_leaves(stack.trainable, number))
    assert own.keys() == present(stack.trainable).keys()
    for path, leaf in own.items():
        np.testing.assert_array_equal(leaf, expected[path], err_msg=path)
    padding = present(stack.trainable)[A][number][..., METHODS[number].rank :]
    assert (padding == 0).all()
    np.testing.assert_array_equal(present(stack.frozen_leaves)[SCALE][number], expected[SCALE])


def test_runs_of_one_seed_share_the_head_and_others_do_not(stack):
    kernels = present(stack.trainable)["head/kernel"]
    np.testing.assert_array_equal(kernels[0], kernels[2])
    assert (kernels[0] != kernels[1]).all()


@pytest.mark.parametrize(
    "methods", [METHODS, [LoRA(learning_rate_ratio=4.0), LoRA()], [Full(), Full()]]
)
def test_shapes_are_those_of_the_arrays_and_nothing_is_compiled(formulation, methods, compilations):
    arguments = (formulation, formulation.pretrained.params, methods, SEEDS[: len(methods)])
    with compilations() as compiled:
        shapes = stack_shapes(*arguments)
    assert not compiled
    expected = stack_runs(*arguments)
    for group in ("trainable", "frozen_leaves", "shared", "rate_factors"):
        wanted = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), getattr(expected, group)
        )
        assert getattr(shapes, group) == wanted
    assert shapes.shapes == expected.shapes
    assert shapes.mask == expected.mask
    assert str(shapes.summary) == str(expected.summary)
    assert shapes.total_parameters(0) == expected.total_parameters(0)


def test_parameters_are_counted_at_a_run_s_own_rank(stack, formulation):
    base = sum(leaf.size for leaf in flatten(formulation.pretrained.params).values())
    for number, method in enumerate(METHODS):
        # Query and value of two layers, 16 by 16 each, and a head for three classes.
        adapter, head = 2 * 2 * 2 * 16 * method.rank, 16 * 3 + 3
        assert stack.total_parameters(number) == base + adapter + head
    assert stack.summary.trainable_parameters == 2 * 2 * 2 * 16 * 3 + 16 * 3 + 3


def test_a_leaf_that_the_forward_pass_never_reads_is_not_trained(formulation):
    batch = unpacked_batch([[1, 1, 1, 1]])
    stack = stack_runs(
        formulation,
        formulation.pretrained.params,
        [Full()],
        [13],
        lambda params: formulation.outputs(params, batch),
    )
    assert set(present(stack.shared)) == {"pooler/kernel", "pooler/bias"}


def test_of_a_bfloat16_base_the_trained_leaves_alone_become_float32(formulation):
    base = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), formulation.pretrained.params)
    stack = stack_runs(formulation, base, [TopLayers(1)] * 2, [13, 21])
    assert {leaf.dtype for leaf in present(stack.trainable).values()} == {jnp.dtype("float32")}
    assert {leaf.dtype for leaf in present(stack.shared).values()} == {jnp.dtype("bfloat16")}


def test_stacked_keys_give_what_single_ones_give():
    keys = [run_key(seed) for seed in SEEDS]
    assert {str(jax.random.key_impl(key)) for key in keys} == {"threefry2x32"}
    stacked = jax.vmap(lambda key: jax.random.normal(key, (3,)))(jnp.stack(keys))
    np.testing.assert_array_equal(stacked, [jax.random.normal(key, (3,)) for key in keys])
