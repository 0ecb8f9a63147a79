import jax.numpy as jnp
import numpy as np

from fsl_jax.formulations.objectives import ChoiceObjective, ChoiceScores

SCORES = ChoiceScores(
    jnp.array([[1.0, 2.0, 9.0], [3.0, 1.0, 2.0], [-50.0, -60.0, 0.0]]),
    jnp.array([[True, True, False], [True, True, True], [True, True, False]]),
)


def test_the_loss_is_the_cross_entropy_over_the_choices_that_there_are():
    losses = ChoiceObjective().losses(SCORES, jnp.array([0, 1, 1], jnp.int32))
    expected = [np.log(1 + np.e), np.log(np.exp([2.0, 0.0, 1.0]).sum()), 10 + np.log1p(np.exp(-10))]
    np.testing.assert_allclose(losses.sums, expected, rtol=1e-6)
    np.testing.assert_array_equal(losses.counts, 1)


def test_the_measure_is_the_accuracy():
    objective = ChoiceObjective()
    np.testing.assert_array_equal(objective.predictions(SCORES), [1, 0, 0])
    statistics = objective.statistics(SCORES, jnp.array([1, 2, 0], jnp.int32))
    np.testing.assert_allclose(objective.measure(statistics.sum(axis=0)), 2 / 3, rtol=1e-6)
