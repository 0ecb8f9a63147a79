import jax.numpy as jnp
import numpy as np
from sklearn.metrics import f1_score, log_loss

from fsl_jax.formulations.objectives import MultilabelObjective

OBJECTIVE = MultilabelObjective()


def draw(seed):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(9, 5)).astype(np.float32)
    return jnp.asarray(logits), jnp.asarray(random.integers(2, size=(9, 5)).astype(np.float32))


def test_the_loss_is_that_of_independent_decisions():
    logits, targets = draw(0)
    losses = OBJECTIVE.losses(logits, targets)
    probabilities = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    expected = log_loss(np.ravel(targets), np.ravel(probabilities))
    np.testing.assert_allclose(losses.sums.sum() / losses.counts.sum(), expected, rtol=1e-6)


def test_the_measure_is_that_of_scikit_learn():
    logits, targets = draw(1)
    expected = f1_score(targets, np.asarray(logits) > 0, average="micro")
    found = OBJECTIVE.measure(OBJECTIVE.statistics(logits, targets).sum(axis=0))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_silence_earns_nothing():
    logits, targets = -jnp.ones((3, 4)), jnp.zeros((3, 4))
    for gold in (targets, targets.at[0, 1].set(1)):
        assert OBJECTIVE.measure(OBJECTIVE.statistics(logits, gold).sum(axis=0)) == 0
