"""Whole tokens, the ends of sequences and the wrapper of all tokenizers from GGUF files."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.tokenizer_parts import add_ends, add_whole_tokens, fast_tokenizer
from fsl_jax.models.gguf.vocabulary import CONTROL, NORMAL, USER_DEFINED

TOKENS = ["<s>", "</s>", "a", "b", "new york"]
KINDS = np.array([CONTROL, CONTROL, NORMAL, NORMAL, USER_DEFINED])
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.fixture
def tokenizer():
    vocabulary = {token: index for index, token in enumerate(TOKENS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_control_and_user_defined_tokens_match_as_a_whole(tokenizer):
    assert "new york" not in tokenizer.encode("b new york").tokens
    add_whole_tokens(tokenizer, TOKENS, KINDS)
    assert tokenizer.encode("b new york</s>").tokens == ["b", "new york", "</s>"]


@pytest.mark.parametrize(
    ("metadata", "text", "pair"),
    [
        ({}, "<s> b", "<s> b <s> a"),
        ({"tokenizer.ggml.add_bos_token": False}, "b", "b a"),
        ({"tokenizer.ggml.add_eos_token": True}, "<s> b </s>", "<s> b </s> <s> a </s>"),
        ({"general.architecture": "bert"}, "<s> b </s>", "<s> b </s> </s> a </s>"),
    ],
)
def test_sequences_begin_and_end_as_the_file_says(tokenizer, metadata, text, pair):
    add_ends(tokenizer, metadata, SPECIAL, begins=True)
    assert " ".join(tokenizer.encode("b").tokens) == text
    assert " ".join(tokenizer.encode("b", "a").tokens) == pair


def test_a_beginning_that_the_file_does_not_name_is_an_error(tokenizer):
    with pytest.raises(InputError, match="should begin with a token"):
        add_ends(tokenizer, {}, {"eos_token": "</s>"}, begins=True)


@pytest.mark.parametrize("token", ["$A", "a:1", "$", ""])
def test_a_token_that_a_template_reads_otherwise_is_refused(token):
    tokenizer = Tokenizer(models.WordLevel({token: 0, "b": 1}, "b"))
    with pytest.raises(InputError, match="cannot begin or end a text"):
        add_ends(tokenizer, {}, {"bos_token": token}, begins=True)


@pytest.mark.parametrize("limit", [0, -1, 2**31, 2**63])
def test_the_longest_text_can_be_counted(tokenizer, limit):
    metadata = {"general.architecture": "llama", "llama.context_length": limit}
    with pytest.raises(InputError, match=f"hold {limit} as llama.context_length"):
        fast_tokenizer(tokenizer, metadata, SPECIAL)


def test_the_longest_text_is_the_models(tokenizer):
    metadata = {"general.architecture": "llama", "llama.context_length": 64}
    wrapped = fast_tokenizer(tokenizer, metadata, SPECIAL)
    assert wrapped.model_max_length == 64
    assert wrapped.eos_token_id == 1
