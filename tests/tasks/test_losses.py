import jax.numpy as jnp
import numpy as np

from fsl_jax.tasks.losses import correct, cross_entropy

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [100.0, 0.0, -100.0]], np.float32)
LABELS = np.array([2, 1, 1], np.int32)


def test_cross_entropy_is_that_of_the_softmax():
    expected = [-np.log(np.exp(0.5) / np.exp([2.0, -1.0, 0.5]).sum()), np.log(3), 100]
    losses = cross_entropy(jnp.asarray(LOGITS), jnp.asarray(LABELS))
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


def test_the_largest_logit_is_the_answer():
    found = correct(jnp.asarray(LOGITS), jnp.array([0, 1, 0], jnp.int32))
    np.testing.assert_array_equal(found, [True, False, True])
