"""Label words are laid side by side behind a prompt, and each sees the prompt and itself."""

import jax.numpy as jnp
import numpy as np

from fsl_jax.formulations import packed_batch
from fsl_jax.formulations.label_words import LabelWords, segment_layout

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


def test_a_word_sees_its_own_prompt_and_its_own_earlier_tokens():
    words = LabelWords.from_tokens(*WORDS["several words"])
    batch = packed_batch([[1, 2, 7, 8, 7], [3, 7, 8, 7]], length=10)
    layout = segment_layout(words, batch)
    assert layout.word.tolist() == [[-1, -1, 0, 3, 3, -1, 0, 3, 3, -1]]
    # The word of three tokens takes two positions after the tokens of the prompt.
    assert layout.positions[0, :9].tolist() == [0, 1, 2, 2, 3, 0, 1, 1, 2]
    sees = layout.sees(batch.segment_ids)[0].astype(int)
    assert sees[:5, :5].tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 1, 0, 1, 1],
    ]
    np.testing.assert_array_equal(sees[5:9, 5:9], sees[1:5, 1:5])
    assert not sees[:5, 5:].any()
    assert not sees[5:9, :5].any()
    assert not sees[:, 9].any()
