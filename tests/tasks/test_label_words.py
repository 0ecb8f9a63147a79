"""Label words are laid side by side behind a prompt, and each sees the prompt and itself."""

import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.outputs import KeyValues
from fsl_jax.tasks.label_words import LabelWords, append_words

WORDS = {
    "one token": ([[4], [5], [6]], [0, 1, 2]),
    "several words": ([[7, 4], [4], [5], [8, 7, 6], [8], [6]], [0, 0, 1, 2, 2, 2]),
}


def test_words_are_laid_side_by_side():
    words = LabelWords.from_tokens(*WORDS["several words"])
    assert words.first_tokens.tolist() == [7, 4, 5, 8, 8, 6]
    assert words.inputs.tolist() == [7, 8, 7]
    assert words.targets.tolist() == [4, 7, 6]
    assert words.word_index.tolist() == [0, 3, 3]
    assert words.offset.tolist() == [0, 0, 1]
    assert words.extra_positions == 2


def test_words_of_one_token_take_no_columns():
    words = LabelWords.from_tokens(*WORDS["one token"])
    assert words.inputs.shape == words.targets.shape == words.offset.shape == (0,)
    assert words.extra_positions == 0


def test_probabilities_of_a_class_add_up():
    words = LabelWords.from_tokens([[1], [2], [3]], [0, 0, 1])
    probabilities = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], np.float32)
    scores = words.class_scores(jnp.log(jnp.asarray(probabilities)))
    np.testing.assert_allclose(np.exp(scores), [[0.3, 0.7], [0.75, 0.25]], rtol=1e-6)


@pytest.mark.parametrize("prefix_length", [0, 2])
def test_a_word_sees_the_prompt_and_its_own_earlier_tokens(prefix_length):
    words = LabelWords.from_tokens(*WORDS["several words"])
    ids = jnp.array([[1, 2, 0]], jnp.int32)
    mask = jnp.array([[True, True, False]])
    prefix = None
    if prefix_length:
        states = jnp.zeros((1, 1, prefix_length, 1, 1))
        prefix = KeyValues(states, states, jnp.ones((1, prefix_length), bool))
    whole, attention, positions = append_words(words, ids, mask, prefix)
    assert whole.tolist() == [[1, 2, 0, 7, 8, 7]]
    # The word of three tokens takes two positions after the two tokens of the prompt.
    assert (positions - prefix_length).tolist() == [[0, 1, 1, 2, 2, 3]]
    assert attention[0, :, :prefix_length].all()
    assert attention[0, 3:, prefix_length:].astype(int).tolist() == [
        [1, 1, 0, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 0, 0, 1, 1],
    ]
    assert not attention[0, :3, prefix_length + 3 :].any()


def test_words_of_one_token_leave_prompts_as_they_are():
    words = LabelWords.from_tokens(*WORDS["one token"])
    ids, mask = jnp.array([[1, 2]], jnp.int32), jnp.ones((1, 2), bool)
    assert append_words(words, ids, mask, None) == (ids, mask, None)
