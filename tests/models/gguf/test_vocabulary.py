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


def test_scores_are_needed_and_there_is_one_for_each_token():
    scores = np.arange(20, dtype=np.float32)
    np.testing.assert_array_equal(token_scores({f"{PREFIX}scores": scores}, TOKENS), scores)
    with pytest.raises(InputError, match="20 tokens and 19 scores"):
        token_scores({f"{PREFIX}scores": scores[1:]}, TOKENS)
    with pytest.raises(InputError, match="hold no scores"):
        token_scores(METADATA, TOKENS)
