"""What every objective promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.formulations.objectives import (
    AnswerLosses,
    ChoiceObjective,
    ChoiceScores,
    ClassificationObjective,
    MulticolumnObjective,
    MultilabelObjective,
    Objective,
    RegressionObjective,
    SpanLogits,
    SpanObjective,
    Spans,
    TaggingObjective,
    WordLogits,
    WrittenObjective,
)

OBJECTIVES = (
    ClassificationObjective(),
    ClassificationObjective("macro_f1"),
    MultilabelObjective(),
    MulticolumnObjective((2, 3)),
    RegressionObjective(),
    RegressionObjective("negative_rmse"),
    TaggingObjective(("O", "B-X", "I-X")),
    SpanObjective(),
    SpanObjective(may_be_silent=False, measure_name="exact_match"),
    ChoiceObjective(),
    WrittenObjective(),
)
B = 6


def inputs(objective, real=4):
    """Outputs and targets of 6 examples, of which those after the real ones are empty fillers."""
    random = np.random.default_rng(0)
    is_real = jnp.arange(B) < real

    def logits(*shape):
        return jnp.asarray(random.normal(size=(B, *shape)), jnp.float32)

    def labels(most, *shape, filler=0):
        drawn = jnp.asarray(random.integers(most, size=(B, *shape)), jnp.int32)
        return jnp.where(is_real.reshape(B, *(1,) * len(shape)), drawn, filler)

    match objective:
        case MultilabelObjective():
            return logits(4), labels(2, 4).astype(jnp.float32)
        case MulticolumnObjective():
            return logits(5), labels((2, 3), 2)
        case RegressionObjective():
            return logits(), logits()
        case TaggingObjective():
            tags = labels(3, 5, filler=-1)
            return WordLogits(logits(5, 3), tags >= 0), tags
        case SpanObjective():
            tokens = jnp.where(is_real[:, None], jnp.arange(7, dtype=jnp.int32) - 1, -1)
            tokens = jnp.broadcast_to(tokens[:, None], (B, 2, 7))
            first = labels(4, 1, filler=-1)
            return SpanLogits(logits(2, 7), logits(2, 7), tokens), Spans(first, first)
        case ChoiceObjective():
            exists = jnp.broadcast_to(is_real[:, None], (B, 3))
            return ChoiceScores(logits(3), exists), labels(3)
        case WrittenObjective():
            tokens = labels(5).astype(jnp.float32)
            return AnswerLosses(jnp.where(is_real, logits() ** 2, 0.0), tokens), None
    return logits(4), labels(4)


@pytest.fixture(params=OBJECTIVES, ids=lambda objective: f"{objective}"[:40])
def objective(request):
    return request.param


def test_it_is_an_objective_that_can_be_an_argument_of_a_program(objective):
    assert isinstance(objective, Objective)
    assert objective.measure_name
    assert hash(objective) == hash(type(objective)(**vars(objective)))


def test_gradients_are_finite_in_empty_rows_and_all_is_float32(objective):
    outputs, targets = inputs(objective)
    is_float = jax.tree.map(lambda leaf: leaf.dtype == jnp.float32, outputs)

    @jax.jit
    def losses(moved):
        mixed = jax.tree.map(lambda f, a, b: a if f else b, is_float, moved, outputs)
        found = objective.losses(mixed, targets)
        return jnp.sum(found.sums), found

    numbers = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), outputs)
    (_, found), gradients = jax.value_and_grad(losses, has_aux=True)(numbers)
    assert found.sums.shape == found.counts.shape == (B,)
    assert found.sums.dtype == found.counts.dtype == jnp.float32
    assert np.isfinite(found.sums).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(gradients))


def test_statistics_add_up_and_no_example_has_a_finite_measure(objective):
    outputs, targets = inputs(objective)
    statistics = jax.jit(objective.statistics)(outputs, targets)
    assert statistics.dtype == jnp.float32
    assert len(statistics) == B
    assert np.isfinite(statistics).all()
    halves = [
        objective.statistics(*jax.tree.map(lambda leaf, part=part: leaf[part], (outputs, targets)))
        for part in (slice(0, 2), slice(2, B))
    ]
    np.testing.assert_allclose(np.concatenate(halves), statistics, rtol=1e-6)
    measure = jax.jit(objective.measure)
    for sums in (statistics.sum(axis=0), jnp.zeros(statistics.shape[1])):
        assert np.isfinite(measure(sums))
        assert measure(sums).shape == ()


def test_it_runs_for_many_runs_at_once(objective):
    outputs, targets = inputs(objective)
    runs = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1]]), (outputs, targets))
    found = jax.vmap(objective.statistics)(*runs)
    np.testing.assert_allclose(found[1][::-1], found[0], rtol=1e-6)
