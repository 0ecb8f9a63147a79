import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.formulations.objectives import TaggingObjective, WordLogits

OBJECTIVE = TaggingObjective(("O", "B-X", "I-X"))
TAGS = jnp.array([[1, 2, 0, 1], [1, 0, -1, -1]], jnp.int32)
IS_READ = jnp.array([[True, True, True, False], [True, True, False, False]])


def outputs(tags, is_read=IS_READ):
    return WordLogits(5 * jax.nn.one_hot(tags, 3, dtype=jnp.float32), is_read)


def test_the_loss_is_of_the_words_that_were_read():
    logits = jax.random.normal(jax.random.key(0), (2, 4, 3))
    losses = OBJECTIVE.losses(WordLogits(logits, IS_READ), TAGS)
    each = -jax.nn.log_softmax(logits)
    expected = [each[0, 0, 1] + each[0, 1, 2] + each[0, 2, 0], each[1, 0, 1] + each[1, 1, 0]]
    np.testing.assert_allclose(losses.sums, expected, rtol=1e-5)
    np.testing.assert_array_equal(losses.counts, [3, 2])


def test_a_word_that_was_not_read_is_tagged_o_and_its_entity_is_missed():
    np.testing.assert_array_equal(OBJECTIVE.predictions(outputs(TAGS))[0], [1, 2, 0, 0])
    statistics = OBJECTIVE.statistics(outputs(TAGS), TAGS)
    np.testing.assert_array_equal(statistics, [[1, 2, 1], [1, 1, 1]])
    np.testing.assert_allclose(OBJECTIVE.measure(statistics.sum(axis=0)), 4 / 5, rtol=1e-6)


def test_where_there_is_no_word_there_is_no_entity():
    everywhere = outputs(jnp.ones((2, 4), jnp.int32), jnp.ones((2, 4), bool))
    np.testing.assert_array_equal(OBJECTIVE.statistics(everywhere, TAGS)[:, 0], [4, 2])


def test_tags_of_another_scheme_are_an_error():
    with pytest.raises(InputError, match="'S-X' is no tag"):
        TaggingObjective(("O", "S-X"))
