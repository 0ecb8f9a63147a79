import jax.numpy as jnp
import numpy as np

from fsl_jax.formulations.objectives import ClassificationObjective, MulticolumnObjective

OBJECTIVE = MulticolumnObjective((2, 4, 3))


def test_each_column_is_a_classification_of_its_own():
    random = np.random.default_rng(0)
    logits = jnp.asarray(random.normal(size=(8, 9)), jnp.float32)
    labels = jnp.asarray(random.integers((2, 4, 3), size=(8, 3)), jnp.int32)
    single, columns = ClassificationObjective(), OBJECTIVE.columns(logits)
    assert [column.shape[1] for column in columns] == [2, 4, 3]
    pairs = list(zip(columns, labels.T, strict=True))

    losses = OBJECTIVE.losses(logits, labels)
    expected = sum(single.losses(*pair).sums for pair in pairs)
    np.testing.assert_allclose(losses.sums, expected, rtol=1e-6)
    np.testing.assert_array_equal(losses.counts, 3)

    measures = [single.measure(single.statistics(*pair).sum(axis=0)) for pair in pairs]
    assert len({float(each) for each in measures}) > 1
    found = OBJECTIVE.measure(OBJECTIVE.statistics(logits, labels).sum(axis=0))
    np.testing.assert_allclose(found, np.mean(measures), rtol=1e-6)


def test_one_column_is_a_classification():
    logits, labels = jnp.eye(3), jnp.array([0, 1, 1], jnp.int32)
    one = MulticolumnObjective((3,))
    np.testing.assert_array_equal(one.predictions(logits), [[0], [1], [2]])
    assert one.statistics(logits, labels[:, None]).sum(axis=0).tolist() == [2, 3]
