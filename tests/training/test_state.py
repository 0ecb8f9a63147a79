"""The state before the first step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.adapt.methods.full import Full
from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.state import initial_state

SETTINGS = FitConfig(steps=7, batch_size=4, evaluate_every=3)


def leaves():
    return {"head": {"kernel": jnp.arange(24.0).reshape(3, 4, 2), "bias": None}}


def test_histories_are_empty_and_nothing_has_been_validated():
    state = initial_state(leaves(), SETTINGS, Full())
    runs = state.runs
    assert int(state.step) == 0
    assert runs.losses.shape == (3, 7)
    assert runs.measures.shape == runs.validation_losses.shape == (3, 3)
    assert all(jnp.isnan(x).all() for x in (runs.losses, runs.measures, runs.validation_losses))
    # Any accuracy is better than this, and any loss.
    np.testing.assert_array_equal(runs.best_measure, [-np.inf] * 3)
    np.testing.assert_array_equal(runs.best_loss, [np.inf] * 3)
    assert runs.active.all()


def test_the_best_leaves_are_the_first_ones_in_memory_of_their_own():
    runs = initial_state(leaves(), SETTINGS, Full()).runs
    trained, best = runs.trainable["head"]["kernel"], runs.best["head"]["kernel"]
    np.testing.assert_array_equal(best, trained)
    assert best.unsafe_buffer_pointer() != trained.unsafe_buffer_pointer()


def test_every_leaf_has_the_runs_on_its_first_axis():
    runs = initial_state(leaves(), SETTINGS, Full()).runs
    assert {leaf.shape[0] for leaf in jax.tree.leaves(runs)} == {3}


def test_a_run_is_active_until_it_stops_or_diverges():
    runs = initial_state(leaves(), SETTINGS, Full()).runs
    stopped, diverged = jnp.array([True, False, False]), jnp.array([False, True, False])
    ended = dataclasses.replace(runs, stopped=stopped, diverged=diverged)
    np.testing.assert_array_equal(ended.active, [False, False, True])
