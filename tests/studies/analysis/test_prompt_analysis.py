import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.analysis.prompt_analysis import (
    WITHIN,
    distances,
    mean_distances,
    nearest_words,
    prompt_distances,
)

RIGHT, UP, LEFT = np.eye(3, dtype=np.float32)[:2].tolist() + [[-1.0, 0.0, 0.0]]


def test_cosine_sees_directions_alone_and_euclidean_lengths_too():
    one, other = np.float32([RIGHT]), np.float32([UP, LEFT, [3.0, 0.0, 0.0]])
    np.testing.assert_allclose(distances(one, other), [[1, 2, 0]], atol=1e-7)
    np.testing.assert_allclose(distances(one, other, "euclidean"), [[2**0.5, 2, 2]], atol=1e-7)
    with pytest.raises(InputError, match="cosine"):
        distances(one, other, "cosin")


def test_a_word_is_its_own_nearest_and_measures_can_disagree(tiny_tokenizer):
    table = np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32)
    east, west = tiny_tokenizer.convert_tokens_to_ids(["east", "west"])
    table[west] = table[east] * 10
    vectors = np.stack([table[east] * 9, table[7]])
    by_angle = nearest_words(vectors, table, tiny_tokenizer, 2)
    by_length = nearest_words(vectors, table, tiny_tokenizer, 1, "euclidean")
    assert {each.word for each in by_angle[0]} == {"east", "west"}
    assert [each.token_id for each in by_angle[0]] == [east, west]
    assert by_angle[1][0].token_id == 7
    assert by_angle[1][0].distance == pytest.approx(0, abs=1e-6)
    assert by_angle[1][1].distance > by_angle[1][0].distance
    assert [own[0].word for own in by_length] == ["west", tiny_tokenizer.decode([7])]


def test_prompts_of_the_same_vectors_in_another_order_are_apart_unless_matched():
    prompts = np.float32([[RIGHT, UP], [UP, RIGHT], [RIGHT, LEFT]])
    expected = [[1, 1, 0.5], [1, 1, 1.5], [0.5, 1.5, 2]]
    np.testing.assert_allclose(prompt_distances(prompts), expected, atol=1e-7)
    matched = [[1, 0, 0.5], [0, 1, 0.5], [0.5, 0.5, 2]]
    np.testing.assert_allclose(prompt_distances(prompts, matched=True), matched, atol=1e-7)
    euclidean = prompt_distances(2 * prompts, "euclidean")
    assert euclidean[0, 1] == pytest.approx(2 * 2**0.5)


def test_a_prompt_of_one_position_has_no_distance_within():
    between = prompt_distances(np.float32([[RIGHT], [LEFT]]))
    np.testing.assert_allclose(between, [[np.nan, 2], [2, np.nan]])


def test_distances_are_averaged_by_what_two_prompts_share():
    between = np.array([[1, 2, 3, 4], [2, 1, 5, 6], [3, 5, 1, 8], [4, 6, 8, 3]], float)
    means = mean_distances(between, ["random", "random", "text", "text"], [1, 2, 1, 2])
    assert means == {
        WITHIN: 1.5,
        "other seed, same start": 5.0,
        "same seed, other start": 4.5,
        "other seed, other start": 4.5,
    }
    alone = mean_distances(between[:1, :1], ["random"], [1])
    assert alone == {WITHIN: 1.0}
