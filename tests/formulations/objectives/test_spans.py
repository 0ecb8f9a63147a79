"""Spans against a search through all of them, and against the rules of SQuAD."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.formulations.objectives import SpanLogits, SpanObjective, Spans

B, W, T = 40, 3, 12


def layout(random):
    """Tokens of overlapping windows after a null place and a question; some windows are missing."""
    tokens = np.full((B, W, T), -1, np.int32)
    for question in range(B):
        before = random.integers(1, 5)
        length, size = random.integers(1, 16), T - before - random.integers(3)
        stride = max(1, size // 2)
        for window in range(W):
            numbers = np.arange(window * stride, min(length, window * stride + size))
            tokens[question, window, before : before + len(numbers)] = numbers
    return tokens


@pytest.fixture(scope="module")
def drawn():
    random = np.random.default_rng(0)
    tokens = layout(random)
    start, end = random.normal(size=(2, B, W, T)).astype(np.float32)
    return SpanLogits(jnp.asarray(start), jnp.asarray(end), jnp.asarray(tokens))


def search(outputs, objective):
    """Find the best span of each question by looking at all of them."""
    start, end, tokens = map(np.asarray, outputs)
    for s, e, numbers in zip(start, end, tokens, strict=True):
        spans = [
            (s[w, i] + e[w, j], numbers[w, i], numbers[w, j])
            for w in range(W)
            for i in range(T)
            for j in range(i, min(T, i + objective.longest))
            if numbers[w, i] >= 0 and numbers[w, j] >= 0
        ]
        null = min(s[w, 0] + e[w, 0] for w in range(W) if numbers[w].max() >= 0)
        score, first, last = max(spans)
        yield (first, last) if not objective.may_be_silent or score > null else (-1, -1)


@pytest.mark.parametrize("longest", [1, 3, 99])
@pytest.mark.parametrize("may_be_silent", [True, False])
def test_the_best_span_is_found(drawn, longest, may_be_silent):
    objective = SpanObjective(longest, may_be_silent)
    raised = drawn._replace(start=drawn.start.at[::2, :, 0].add(4.0))
    found = jax.jit(objective.predictions)(raised)
    expected = list(search(raised, objective))
    assert list(zip(*map(np.ndarray.tolist, map(np.asarray, found)), strict=True)) == expected
    assert may_be_silent == ((-1, -1) in expected)


def spans(first, last):
    return Spans(*(jnp.asarray(each, jnp.int32) for each in (first, last)))


LOGITS = jax.random.normal(jax.random.key(0), (2, 1, 2, 6))
TOKENS = jnp.array([[[-1, -1, 0, 1, 2, 3], [-1, -1, 2, 3, 4, -1]]], jnp.int32)


@pytest.mark.parametrize(
    ("first", "last", "places"),
    [
        (0, 1, [(2, 3), (0, 0)]),
        (3, 4, [(0, 0), (3, 4)]),
        (2, 3, [(4, 5), (2, 3)]),
        (1, 4, [(0, 0), (0, 0)]),
        (-1, -1, [(0, 0), (0, 0)]),
    ],
)
def test_the_loss_is_of_each_window_and_without_the_whole_answer_of_its_null_place(
    first, last, places
):
    losses = SpanObjective().losses(SpanLogits(*LOGITS, TOKENS), spans([[first]], [[last]]))
    allowed = [[0, 2, 3, 4, 5], [0, 2, 3, 4]]
    expected = 0
    for window, ends in enumerate(places):
        for logits, place in zip(LOGITS, ends, strict=True):
            of_window = np.asarray(logits[0, window], np.float64)
            normaliser = np.log(np.exp(of_window[allowed[window]]).sum())
            expected += (normaliser - of_window[place]) / 2
    np.testing.assert_allclose(losses.sums, [expected], rtol=1e-5)
    np.testing.assert_array_equal(losses.counts, [2])


def test_a_window_that_does_not_exist_has_no_loss(drawn):
    losses = SpanObjective().losses(drawn, spans([[-1]] * B, [[-1]] * B))
    windows = (np.asarray(drawn.tokens).max(axis=2) >= 0).sum(axis=1)
    assert set(windows) == {1, 2, 3}
    np.testing.assert_array_equal(losses.counts, windows)


def answering(first, last):
    """Outputs whose best span is the given one; none for -1."""
    tokens = jnp.array([[[-1, 0, 1, 2, 3, 4]]], jnp.int32)
    start, end = (jax.nn.one_hot(jnp.array([[at + 1]]), 6) for at in (first, last))
    return SpanLogits(9.0 * start, 9.0 * end, tokens)


@pytest.mark.parametrize(
    ("predicted", "gold", "f1", "exact"),
    [
        ((1, 3), [(1, 3), (-1, -1)], 1, 1),
        ((1, 3), [(0, 0), (2, 3)], 4 / 5, 0),
        ((1, 3), [(3, 4), (1, 3)], 1, 1),
        ((0, 1), [(2, 4), (3, 3)], 0, 0),
        ((-1, -1), [(2, 4), (3, 3)], 0, 0),
        ((-1, -1), [(-1, -1), (-1, -1)], 1, 1),
        ((2, 2), [(-1, -1), (-1, -1)], 0, 0),
    ],
)
def test_answers_are_scored_by_question_against_the_best_reference(predicted, gold, f1, exact):
    targets = spans([[first for first, _ in gold]], [[last for _, last in gold]])
    found = SpanObjective().statistics(answering(*predicted), targets)
    np.testing.assert_allclose(found, [[f1, exact, 1]], rtol=1e-6)


def test_silence_in_windows_without_the_answer_earns_nothing(drawn):
    """Every question has an answer, though most of the windows have none."""
    silent = drawn._replace(start=drawn.start.at[:, :, 0].set(99.0))
    targets = spans([[0]] * B, [[0]] * B)
    for name in ("token_f1", "exact_match"):
        objective = SpanObjective(measure_name=name)
        assert objective.measure(objective.statistics(silent, targets).sum(axis=0)) == 0


def test_each_measure_reads_its_own_sum():
    sums = jnp.array([3.0, 2.0, 4.0])
    assert SpanObjective().measure(sums) == 0.75
    assert SpanObjective(measure_name="exact_match").measure(sums) == 0.5


def test_an_unknown_measure_is_an_error():
    with pytest.raises(InputError, match=r"unknown measure 'f1'.*token_f1"):
        SpanObjective(measure_name="f1")
