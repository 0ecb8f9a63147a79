import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import pearsonr

from fsl_jax.errors import InputError
from fsl_jax.formulations.objectives import RegressionObjective


def measure(name, x, y):
    objective = RegressionObjective(name)
    arrays = (jnp.asarray(each, jnp.float32) for each in (x, y))
    return objective.measure(objective.statistics(*arrays).sum(axis=0))


def test_the_loss_is_the_squared_error():
    losses = RegressionObjective().losses(jnp.array([1.0, -2.0]), jnp.array([0.5, 1.0]))
    np.testing.assert_allclose(losses.sums, [0.25, 9])
    np.testing.assert_array_equal(losses.counts, 1)


@pytest.mark.parametrize(("noise", "shift"), [(0, 0), (0.5, 3), (5, -2)])
def test_measures_are_the_correlation_and_the_error(noise, shift):
    random = np.random.default_rng(0)
    y = random.normal(size=50)
    x = 2 * y + noise * random.normal(size=50) + shift
    np.testing.assert_allclose(measure("pearson", x, y), pearsonr(x, y)[0], atol=1e-5)
    expected = -np.sqrt(np.mean((x - y) ** 2))
    np.testing.assert_allclose(measure("negative_rmse", x, y), expected, rtol=1e-5)


def test_the_opposite_order_has_the_correlation_minus_1():
    assert measure("pearson", [1, 2, 4], [-1, -2, -4]) == pytest.approx(-1, abs=1e-6)


@pytest.mark.parametrize(("x", "y"), [([0.1] * 9, range(9)), (range(9), [7.3] * 9), ([2], [3])])
def test_a_constant_has_no_correlation(x, y):
    assert measure("pearson", x, y) == 0


def test_an_unknown_measure_is_an_error():
    with pytest.raises(InputError, match=r"unknown measure 'rmse'.*negative_rmse"):
        RegressionObjective("rmse")
