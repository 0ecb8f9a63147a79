import jax.numpy as jnp
import numpy as np

from fsl_jax.formulations.objectives import AnswerLosses, WrittenObjective, sum_by_example

OBJECTIVE = WrittenObjective()


def test_losses_are_added_up_by_example():
    losses = jnp.array([1.0, 2.0, 4.0, 8.0, 16.0])
    found = sum_by_example(losses, jnp.array([2, -1, 0, 2, 0], jnp.int32), 4)
    np.testing.assert_array_equal(found.sums, [20, 0, 9, 0])
    np.testing.assert_array_equal(found.tokens, [2, 0, 2, 0])


def test_the_loss_is_a_mean_over_tokens():
    answers = AnswerLosses(jnp.array([2.0, 9.0]), jnp.array([1.0, 3.0]))
    losses = OBJECTIVE.losses(answers)
    assert losses.sums.sum() / losses.counts.sum() == 11 / 4


def test_the_measure_is_the_geometric_mean_of_probabilities():
    probabilities = np.array([0.5, 0.1, 0.9, 0.25])
    answers = sum_by_example(
        jnp.asarray(-np.log(probabilities), jnp.float32), jnp.array([0, 1, 1, 1], jnp.int32), 2
    )
    found = OBJECTIVE.measure(OBJECTIVE.statistics(answers).sum(axis=0))
    np.testing.assert_allclose(found, np.prod(probabilities) ** 0.25, rtol=1e-6)
