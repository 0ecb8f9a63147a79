"""Tokens, kinds and scores in the metadata of a GGUF file."""

import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.vocabulary import token_kinds, token_scores, vocabulary

PREFIX = "tokenizer.ggml."
TOKENS = [f"t{number}" for number in range(20)]
METADATA = {f"{PREFIX}tokens": TOKENS}


def test_all_tokens_are_normal_where_nothing_is_said():
    np.testing.assert_array_equal(token_kinds(METADATA, TOKENS), 1)


def test_a_vocabulary_has_tokens_and_each_of_them_once():
    assert vocabulary(METADATA) == TOKENS
    with pytest.raises(InputError, match="2 tokens occur again"):
        vocabulary({f"{PREFIX}tokens": [*TOKENS, "t1", "t2"]})
    with pytest.raises(InputError, match="hold no vocabulary"):
        vocabulary({})


def test_tokens_have_a_largest_length():
    assert vocabulary({f"{PREFIX}tokens": ["a" * 1024]})
    with pytest.raises(InputError, match="a token of 1,025 characters; at most 1,024"):
        vocabulary({f"{PREFIX}tokens": ["a" * 1025]})


def test_kinds_are_whole_numbers_and_scores_are_finite():
    with pytest.raises(InputError, match="token_type of the GGUF metadata has numbers of type fl"):
        token_kinds({f"{PREFIX}token_type": np.ones(20, np.float32)}, TOKENS)
    for scores in (np.full(20, np.nan), np.full(20, np.inf), np.ones(20, bool)):
        with pytest.raises(InputError, match=r"scores of the GGUF metadata .* not finite"):
            token_scores({f"{PREFIX}scores": scores}, TOKENS)


def test_scores_are_needed_and_there_is_one_for_each_token():
    scores = np.arange(20, dtype=np.float32)
    np.testing.assert_array_equal(token_scores({f"{PREFIX}scores": scores}, TOKENS), scores)
    with pytest.raises(InputError, match="20 tokens and 19 scores"):
        token_scores({f"{PREFIX}scores": scores[1:]}, TOKENS)
    with pytest.raises(InputError, match="hold no scores"):
        token_scores(METADATA, TOKENS)
