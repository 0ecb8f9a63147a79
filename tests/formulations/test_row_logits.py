"""Rows with different adapters have the class logits that their adapters give alone."""

import jax
import numpy as np
import pytest

from fsl_jax.adapt import stack_adapters
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError
from fsl_jax.formulations import (
    HeadFormulation,
    packed_batch,
    row_logits,
    row_segments,
    unpacked_batch,
)

LABELS = ("east", "north", "west")
TOKENS = [np.random.default_rng(n).integers(10, 60, n).tolist() for n in (6, 4, 6, 5, 3)]
INDEX = np.array([2, 0, 1, 2, 0], np.int32)


def compute(formulation, stacked, index=INDEX):
    base = formulation.pretrained
    tokens = TOKENS[: len(index)]
    batch = unpacked_batch(row_segments(formulation, base.params, stacked, tokens))
    run = jax.jit(lambda stacked: row_logits(formulation, base.params, stacked, index, batch))
    return np.asarray(run(stacked))


def compute_alone(formulation, tree, rows):
    batch = packed_batch(formulation.segments(tree, [TOKENS[row] for row in rows]))
    return jax.jit(formulation.outputs)(tree, batch)


@pytest.mark.parametrize(
    ("family", "pooling", "texts"),
    [
        ("bert", "mean", ("lora(2)", "linear_probe", "bitfit")),
        ("llama", "last", ("prompt_tuning(2, position='suffix')", "ia3", "prefix_tuning(2)")),
        ("llama", "mean", ("prompt_tuning(2)", "prompt_tuning(3, position='suffix')", "lora(2)")),
        ("t5", "last", ("prompt_tuning(2)", "prefix_tuning(2)", "lora(2)")),
    ],
)
def test_each_row_has_the_logits_of_its_own_head(tiny_bases, family, pooling, texts, with_head):
    formulations = [
        HeadFormulation(tiny_bases[family], LABELS[:classes], pooling) for classes in (3, 2, 3)
    ]
    trees = [
        with_head(formulation, text, seed)
        for seed, (formulation, text) in enumerate(zip(formulations, texts, strict=True))
    ]
    found = compute(formulations[0], stack_adapters(trees, tiny_bases[family]))
    assert found.shape == (5, 3)
    for number, (formulation, tree) in enumerate(zip(formulations, trees, strict=True)):
        rows = np.flatnonzero(number == INDEX)
        expected = compute_alone(formulation, tree, rows)
        classes = expected.shape[1]
        np.testing.assert_allclose(found[rows, :classes], expected, rtol=1e-5, atol=1e-5)
        assert np.isneginf(found[rows, classes:]).all()


@pytest.mark.parametrize("name", ["llama-words", "t5-words"])
def test_a_template_has_words_for_rows_with_an_adapter_and_without(
    tiny_formulations, name, with_head
):
    formulation = tiny_formulations[name]
    trees = [with_head(formulation, text) for text in ("lora(2)", "prompt_tuning(2)")]
    base = formulation.pretrained
    found = compute(formulation, stack_adapters(trees, base), np.array([1, -1, 0], np.int32))
    for row, tree in enumerate((trees[1], base.params, trees[0])):
        expected = compute_alone(formulation, tree, [row])
        np.testing.assert_allclose(found[row], expected[0], rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def own_rows():
    """One example in each of five rows."""
    return unpacked_batch(TOKENS)


def test_rows_without_a_head_are_an_error_that_lists_them(tiny_formulations, with_head, own_rows):
    formulation = tiny_formulations["bert-head"]
    base = formulation.pretrained
    headed = with_head(formulation, "ia3")
    without = {name: part for name, part in headed.items() if name != "head"}
    stacked = stack_adapters([without, headed], base)
    index = np.array([1, 0, -1, 1, 0], np.int32)
    with pytest.raises(InputError) as caught:
        row_logits(formulation, base.params, stacked, index, own_rows)
    assert str(caught.value).splitlines()[1:] == [
        "  - row 2 has no adapter",
        "  - row 1: adapter 0 has none",
        "  - row 4: adapter 0 has none",
    ]
    alone = stack_adapters([without], base)
    with pytest.raises(InputError, match="none of these adapters has a task head"):
        row_logits(formulation, base.params, alone, np.zeros(5, np.int32), own_rows)
    with pytest.raises(InputError, match="index is for 1 rows, and there are 5"):
        row_logits(formulation, base.params, stacked, np.ones(1, np.int32), own_rows)


@pytest.mark.parametrize("masked", [True, False])
def test_in_a_program_a_row_without_a_head_has_no_numbers(
    tiny_formulations, masked, with_head, own_rows
):
    formulation = tiny_formulations["bert-head"]
    base = formulation.pretrained
    tree = with_head(formulation, "ia3")
    headless = {name: part for name, part in tree.items() if name != "head"}
    stacked = stack_adapters([tree, headless if masked else tree], base)
    if not masked:
        # The trained half of a stack of runs has heads of the same classes.
        del stacked["head"]["mask"]

    @jax.jit
    def run(index):
        return row_logits(formulation, base.params, stacked, index, own_rows)

    found = np.isnan(run(np.array([0, 1, -1, 2, 0], np.int32)))
    assert found.any(axis=1).tolist() == found.all(axis=1).tolist() == [0, masked, 1, 1, 0]


def test_gradients_pass_by_the_classes_that_an_adapter_does_not_have(
    tiny_bases, with_head, own_rows
):
    formulations = [HeadFormulation(tiny_bases["bert"], LABELS[:n]) for n in (2, 3)]
    trees = [with_head(each, "ia3", seed) for seed, each in enumerate(formulations)]
    base, stacked = tiny_bases["bert"], stack_adapters(trees, tiny_bases["bert"])
    index = np.array([0, 0, 0, 1, 1], np.int32)

    @jax.jit
    @jax.grad
    def gradient(stacked):
        logits = row_logits(formulations[1], base.params, stacked, index, own_rows)
        return -jax.nn.log_softmax(logits)[:, 1].sum()

    @jax.jit
    @jax.grad
    def gradient_alone(tree):
        logits = formulations[0].outputs(tree, unpacked_batch(TOKENS[:3]))
        return -jax.nn.log_softmax(logits)[:, 1].sum()

    found, expected = flatten(gradient(stacked)), flatten(gradient_alone(trees[0]))
    for path in ("layers/attention/key/ia3", "head/kernel", "head/bias"):
        own = found[path][0]
        kept = own[..., :2] if path.startswith("head") else own
        np.testing.assert_allclose(kept, expected[path], rtol=1e-4, atol=1e-5)
        assert not path.startswith("head") or not own[..., 2:].any()


def test_dropout_draws_for_each_row(tiny_formulations, with_head):
    formulation = tiny_formulations["bert-head"]
    base = formulation.pretrained
    stacked = stack_adapters([with_head(formulation, "ia3")], base)
    twice = unpacked_batch(TOKENS[:1] * 2)

    def run(rate, key):
        given = (formulation, base.params, stacked, np.zeros(2, np.int32), twice)
        return row_logits(*given, dropout=rate, key=key)

    same, other = run(0.0, None), run(0.3, jax.random.key(0))
    np.testing.assert_array_equal(same[0], same[1])
    assert np.abs(other[0] - other[1]).max() > 1e-3


def test_rows_that_hold_several_examples_are_refused(tiny_formulations, with_head):
    formulation = tiny_formulations["bert-head"]
    base = formulation.pretrained
    stacked = stack_adapters([with_head(formulation, "ia3")], base)
    given = (formulation, base.params, stacked, np.zeros(5, np.int32))
    with pytest.raises(InputError, match="hold one example each"):
        row_logits(*given, packed_batch(TOKENS, length=12))
    with pytest.raises(InputError, match="in the order of the rows"):
        row_logits(*given, packed_batch(TOKENS, length=6))
