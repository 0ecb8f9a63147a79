"""A method that is defined in this file alone goes through everything that a method goes through.

The first toy has an existing kind of leaf: it is one class and one entry of the registry. The
second has a new kind of leaf: one entry of the table and one hook more.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import (
    METHODS,
    Method,
    apply_rows,
    attach,
    load_adapter,
    merge,
    parse_method,
    save_adapter,
    stack_adapters,
    unmerge,
)
from fsl_jax.adapt.methods.low_rank import low_rank_targets
from fsl_jax.adapt.parts.targets import target_layers
from fsl_jax.adapt.tree import flatten, key_of, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models.blocks import added_leaves
from fsl_jax.models.blocks.added_leaves import AddedLeaf, Merging
from fsl_jax.models.blocks.intermediate_leaves import IntermediateLeaf
from fsl_jax.models.blocks.layers import Dense

IDS = np.random.default_rng(0).integers(10, 60, (4, 6)).astype(np.int32)
MASK = np.arange(6)[None, :] < np.array([6, 4, 6, 5])[:, None]


@dataclasses.dataclass(frozen=True)
class Tied(Method):
    """A low-rank update whose first factor is the same matrix in all layers of all targets."""

    rank: int = 2
    name: ClassVar[str] = "tied"
    learning_rates: ClassVar[tuple[float, ...]] = (1e-2,)
    rules: ClassVar[tuple[str, ...]] = ("^tied/a$", "/tied_b$")
    frozen_rules: ClassVar[tuple[str, ...]] = ("/lora_scale$",)
    intermediate_leaves: ClassVar[tuple[IntermediateLeaf, ...]] = (
        IntermediateLeaf("^tied/a$|/tied_b$", neutral=0.0, made="lora_a"),
    )

    def extend(self, params, key):
        leaves = flatten(params)
        for layer in low_rank_targets(self.name, "attention/(query|value)$", leaves):
            depth, width_in, width_out = leaves[f"{layer}/kernel"].shape
            leaves[f"{layer}/tied_b"] = jnp.zeros((depth, self.rank, width_out))
            leaves[f"{layer}/lora_scale"] = jnp.full(depth, 4 / self.rank)
            drawn = jax.random.normal(key_of(key, "tied/a"), (width_in, self.rank))
            leaves["tied/a"] = 0.1 * drawn
        return unflatten(leaves)

    def reparametrize(self, params):
        leaves = flatten(params)
        for layer in [path.removesuffix("/tied_b") for path in leaves if path.endswith("/tied_b")]:
            leaves[f"{layer}/lora_a"] = leaves["tied/a"][None]
            leaves[f"{layer}/lora_b"] = leaves[f"{layer}/tied_b"]
        return unflatten(leaves)


@dataclasses.dataclass(frozen=True)
class Gain(Method):
    """Multiplies what goes into the multilayer perceptron, by a kind of leaf that is not known."""

    name: ClassVar[str] = "gain"
    learning_rates: ClassVar[tuple[float, ...]] = (5e-2,)
    rules: ClassVar[tuple[str, ...]] = ("/gain$",)

    def extend(self, params, key):
        leaves = flatten(params)
        for layer in target_layers("gain's targets", "mlp/up$", leaves):
            leaves[f"{layer}/gain"] = jnp.ones(leaves[f"{layer}/kernel"].shape[:-1])
        return unflatten(leaves)


@pytest.fixture
def tied(monkeypatch):
    """One entry of the registry."""
    monkeypatch.setitem(METHODS, "tied", Tied)


@pytest.fixture
def hook(monkeypatch):
    """A linear layer that reads the new leaf."""
    scaled = Dense._scaled

    def with_gain(self, flat, leaf):
        before = scaled(self, flat, "gain") if leaf == "ia3_in" else flat
        return scaled(self, before, leaf)

    monkeypatch.setattr(Dense, "_scaled", with_gain)
    monkeypatch.setitem(METHODS, "gain", Gain)


@pytest.fixture
def gain(hook, monkeypatch):
    """One entry of the table beside the hook."""
    entry = AddedLeaf("(?P<layer>.+)/gain", "kernel", 1.0, Merging.INPUT_FACTOR)
    monkeypatch.setattr(added_leaves, "ADDED_LEAVES", (*added_leaves.ADDED_LEAVES, entry))


@pytest.fixture
def through(tiny_bases, tiny_problem, trial, adapted, tmp_path):
    """Takes two runs of a method through training, files, merging, and a batch beside LoRA."""
    base = tiny_bases["llama"]

    def logits(params):
        return np.asarray(jax.jit(base.apply)(params, IDS, MASK).logits)

    def train(texts):
        methods = [parse_method(text) for text in texts]
        rate = methods[0].learning_rates[0]
        trials = [trial(method, seed, rate) for seed, method in enumerate(methods, start=3)]
        problem = tiny_problem("llama-template", trials)
        last = problem.fit(problem.compile()).runs
        # A batch has four examples, so single losses go up and down.
        assert np.all(last.losses[:, -5:].mean(1) < last.losses[:, :5].mean(1))
        return [
            (each.method, each.method.finish(problem.stack.run_leaves(last.trainable, number)))
            for number, each in enumerate(trials)
        ]

    def save_and_load(number, method, leaves):
        save_adapter(tmp_path / str(number), leaves, method, base, {})
        adapter = load_adapter(tmp_path / str(number), base)
        extended = flatten(method.extend(base.params, jax.random.key(0)))
        tree = method.reparametrize(unflatten(extended | flatten(leaves)))
        np.testing.assert_array_equal(logits(adapter.params), logits(tree))
        assert adapter.method == method
        return adapter.params

    def merge_and_unmerge(tree):
        merged = merge(tree, base)
        assert flatten(merged).keys() == flatten(base.params).keys()
        np.testing.assert_allclose(logits(merged), logits(tree), atol=1e-4)
        again, expected = flatten(unmerge(merged, tree, base)), flatten(tree)
        assert again.keys() == expected.keys()
        for path, leaf in again.items():
            np.testing.assert_allclose(leaf, expected[path], atol=2e-6, err_msg=path)

    def batch(trees):
        index = np.array([1, -1, 2, 0], np.int32)
        stacked = stack_adapters(trees, base)
        together = jax.jit(lambda stacked: apply_rows(base, base.params, stacked, index, IDS, MASK))
        found = together(stacked).logits
        for row, tree in enumerate((trees[1], base.params, trees[2], trees[0])):
            expected = logits(tree)[row]
            np.testing.assert_allclose(found[row][MASK[row]], expected[MASK[row]], atol=1e-4)

    def run(*texts):
        trees = [save_and_load(number, *trained) for number, trained in enumerate(train(texts))]
        for tree in trees:
            assert np.abs(logits(tree) - logits(base.params)).max() > 1e-2
            merge_and_unmerge(tree)
        batch([trees[0], adapted(base, "lora(3)+ia3"), trees[1]])

    return run


def test_a_method_of_an_existing_kind_of_leaf_is_one_class_and_one_entry(tied, through):
    through("tied", "tied(rank=3)")


def test_two_low_rank_updates_of_one_layer_are_an_error(tied, llama):
    with pytest.raises(InputError, match="lora cannot be added: these layers have a low-rank"):
        attach(llama.params, parse_method("tied+lora"), jax.random.key(0))


def test_a_training_is_batched_as_it_is(tied, llama, move):
    method, trees = parse_method("tied"), []
    for seed in range(2):
        params, mask = attach(llama.params, method, jax.random.key(seed))
        trees.append(move(params, mask, seed))
    added = flatten(trees[0]).keys() - flatten(llama.params).keys()
    stacked = {path: jnp.stack([flatten(tree)[path] for tree in trees]) for path in added}
    index, rows = np.array([1, -1, 0, 1]), (IDS % 50, MASK)

    @jax.jit
    def together(stacked):
        options = {"reparametrize": method.reparametrize}
        return apply_rows(llama, llama.params, stacked, index, *rows, **options).logits

    found = together(unflatten(stacked))
    for row, number in enumerate(index):
        tree = llama.params if number < 0 else method.reparametrize(trees[number])
        expected = jax.jit(llama.apply)(tree, *rows).logits[row]
        np.testing.assert_allclose(found[row][MASK[row]], expected[MASK[row]], atol=1e-4)


def test_a_new_kind_of_leaf_is_one_entry_and_one_hook(gain, through):
    through("gain", "gain")


def test_without_its_entry_a_new_kind_of_leaf_is_an_error_that_names_it(hook, llama):
    unknown = "layers/mlp/up/gain: this kind of added leaf is unknown, .* add the kind to the table"
    with pytest.raises(InputError, match=unknown):
        attach(llama.params, parse_method("gain"), jax.random.key(0))
    tree = Gain().extend(llama.params, jax.random.key(0))
    with pytest.raises(InputError, match=f"adapter 0: {unknown}"):
        stack_adapters([tree], llama)
    stacked = {"layers": {"mlp": {"up": {"gain": jnp.ones((1, 3, 16))}}}}
    with pytest.raises(InputError, match=unknown):
        apply_rows(llama, llama.params, stacked, np.array([-1] * 4), IDS % 50, MASK)
    with pytest.raises(InputError, match="mlp/up/gain: it is not known how"):
        merge(tree, llama)
