import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from fsl_jax.errors import InputError
from fsl_jax.formulations.objectives import ClassificationObjective

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [100.0, 0.0, -100.0]], np.float32)


def test_the_loss_is_the_cross_entropy_of_the_softmax():
    losses = ClassificationObjective().losses(jnp.asarray(LOGITS), jnp.array([2, 1, 1], jnp.int32))
    expected = [-np.log(np.exp(0.5) / np.exp([2.0, -1.0, 0.5]).sum()), np.log(3), 100]
    np.testing.assert_allclose(losses.sums, expected, rtol=1e-6)
    np.testing.assert_array_equal(losses.counts, 1)


@pytest.mark.parametrize("classes", [2, 4, 30])
def test_measures_are_those_of_scikit_learn(classes):
    """Of 30 classes, some are neither predicted nor correct."""
    random = np.random.default_rng(classes)
    logits = random.normal(size=(25, classes)).astype(np.float32)
    labels = random.integers(classes, size=25, dtype=np.int32)
    logits[np.arange(25), labels] += 1
    predicted = logits.argmax(axis=1)
    expected = {
        "accuracy": accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, average="macro", zero_division=0),
    }
    for name, value in expected.items():
        objective = ClassificationObjective(name)
        np.testing.assert_array_equal(objective.predictions(jnp.asarray(logits)), predicted)
        sums = objective.statistics(jnp.asarray(logits), jnp.asarray(labels)).sum(axis=0)
        np.testing.assert_allclose(objective.measure(sums), value, rtol=1e-6)


def test_an_unknown_measure_is_an_error():
    with pytest.raises(InputError, match=r"unknown measure 'f1'.*macro_f1"):
        ClassificationObjective("f1")
