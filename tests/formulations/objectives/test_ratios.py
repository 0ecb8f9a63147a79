import jax.numpy as jnp
import numpy as np

from fsl_jax.formulations.objectives.ratios import f1, ratio


def test_a_quotient_of_nothing_is_0():
    found = ratio(jnp.array([3.0, 0.0, 0.0]), jnp.array([4.0, 5.0, 0.0]))
    np.testing.assert_allclose(found, [0.75, 0, 0])


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    predicted, gold, correct = jnp.array([4.0, 0, 3, 0]), jnp.array([6.0, 5, 0, 0]), jnp.zeros(4)
    correct = correct.at[0].set(3)
    np.testing.assert_allclose(
        f1(predicted, gold, correct), [2 / (4 / 3 + 6 / 3), 0, 0, 0], rtol=1e-6
    )
