import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.formulations.objectives.masked import masked_logits


def test_what_does_not_count_has_no_probability_and_no_gradient():
    logits = jnp.array([[1.0, jnp.nan, 3.0], [jnp.inf, 1.0, 2.0]])
    counts = jnp.array([[True, False, True], [False, False, False]])

    def loss(logits):
        return jnp.sum(jax.nn.log_softmax(masked_logits(logits, counts), axis=1)[:, 0])

    value, gradient = jax.value_and_grad(loss)(logits)
    np.testing.assert_allclose(value, jax.nn.log_softmax(jnp.array([1.0, 3.0]))[0] - np.log(3))
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient != 0, [[True, False, True], [False] * 3])
