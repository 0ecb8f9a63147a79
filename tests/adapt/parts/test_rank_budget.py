"""The singular values that a budget keeps. `test_adalora` compares the budget with PEFT's."""

import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt.parts.rank_budget import Importance, budget_at, keep_most_important


def known(scores, present=None):
    """Importance whose scores are the given ones, `[L, R]`."""
    scores = jnp.asarray(scores, jnp.float32)
    present = jnp.ones(scores.shape, bool) if present is None else jnp.asarray(present)
    parts = {
        "lora_a": jnp.zeros((scores.shape[0], 3, scores.shape[1])),
        "lora_e": scores,
        "lora_b": jnp.zeros((*scores.shape, 2)),
    }
    return Importance(parts, {**parts, "lora_e": jnp.ones_like(scores)}, present, present)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 24), (2, 24), (6, 8 + 16 * 27 // 64), (10, 10), (18, 8), (30, 8)]
)
def test_the_budget_falls_by_a_cubic_curve(step, expected):
    layers = {"one": known(np.ones((2, 6))), "two": known(np.ones((2, 6)))}
    assert budget_at(jnp.int32(step), 2, 18, 2, layers) == expected


def test_the_least_important_go_wherever_they_are():
    layers = {"one": known([[5, 1], [2, 6]]), "two": known([[4, 3]])}
    kept = keep_most_important(layers, jnp.int32(3))
    np.testing.assert_array_equal(kept["one"], [[True, False], [False, True]])
    np.testing.assert_array_equal(kept["two"], [[True, False]])


def test_what_fills_up_a_smaller_rank_counts_for_nothing():
    layers = {"one": known([[0, 0, 9]], [[True, True, False]]), "two": known([[1, 2, 0]])}
    assert budget_at(jnp.int32(0), 0, 10, 1, layers) == 5
    kept = keep_most_important(layers, jnp.int32(2))
    np.testing.assert_array_equal(kept["one"], [[False, False, False]])
    np.testing.assert_array_equal(kept["two"], [[True, True, False]])


def test_a_layer_that_is_not_adapted_asks_for_no_budget():
    layers = {"one": known(np.ones((2, 6)), [[True] * 6, [False] * 6])}
    assert budget_at(jnp.int32(30), 2, 18, 2, layers) == 2


def test_a_budget_that_all_fit_in_keeps_all():
    layers = {"one": known([[0, 0]])}
    assert keep_most_important(layers, jnp.int32(2))["one"].all()
    assert not keep_most_important(layers, jnp.int32(1))["one"].any()


def test_sensitivities_are_averaged_and_so_is_how_far_they_are_from_it():
    start = Importance.at_start({"lora_e": jnp.ones((1, 2))}, jnp.ones((1, 2), bool))
    one = start.smoothed({"lora_e": jnp.array([[1.0, 2.0]])}, 0.5, 0.75)
    np.testing.assert_allclose(one.sensitivity["lora_e"], [[0.5, 1.0]])
    np.testing.assert_allclose(one.uncertainty["lora_e"], [[0.125, 0.25]])
