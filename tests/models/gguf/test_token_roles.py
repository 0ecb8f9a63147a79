"""The special tokens and the end tokens that a GGUF file names."""

import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.token_roles import gguf_end_tokens, special_tokens

PREFIX = "tokenizer.ggml."
TOKENS = [f"t{number}" for number in range(20)]
METADATA = {f"{PREFIX}tokens": TOKENS, f"{PREFIX}eos_token_id": 2}


def test_all_ends_that_the_file_names_are_found():
    assert gguf_end_tokens(METADATA) == (2,)
    named = {f"{PREFIX}eot_token_id": 7, f"{PREFIX}eom_token_id": 5}
    assert gguf_end_tokens(METADATA | named) == (2, 5, 7)
    listed = {f"{PREFIX}eos_token_ids": np.int32([9, 2])}
    assert gguf_end_tokens(METADATA | named | listed) == (2, 5, 7, 9)


@pytest.mark.parametrize(("end", "words"), [(20, "lacks.*20"), ("</s>", "hold a str")])
def test_an_end_that_is_no_token_is_an_error(end, words):
    with pytest.raises(InputError, match=f"(?s){words}"):
        gguf_end_tokens(METADATA | {f"{PREFIX}eot_token_id": end})


@pytest.mark.parametrize("ends", [np.int32([2, 20]), np.float32([0.5]), np.int32([-1]), "2"])
def test_listed_ends_that_are_no_tokens_are_an_error(ends):
    with pytest.raises(InputError, match="eos_token_ids"):
        gguf_end_tokens(METADATA | {f"{PREFIX}eos_token_ids": ends})


def test_the_end_of_sequence_is_the_padding_unless_the_file_names_one():
    assert special_tokens(METADATA, TOKENS) == {"eos_token": "t2", "pad_token": "t2"}
    named = METADATA | {f"{PREFIX}padding_token_id": 3}
    assert special_tokens(named, TOKENS) == {"eos_token": "t2", "pad_token": "t3"}


def test_an_encoder_has_its_own_names_for_the_ends_of_a_text():
    metadata = METADATA | {"general.architecture": "bert", f"{PREFIX}bos_token_id": 1}
    special = special_tokens(metadata, TOKENS)
    assert (special["cls_token"], special["sep_token"]) == ("t1", "t2")
    assert "cls_token" not in special_tokens(metadata | {"general.architecture": "t5"}, TOKENS)


def test_an_encoder_has_one_begin_and_one_end():
    metadata = METADATA | {"general.architecture": "bert", f"{PREFIX}bos_token_id": 1}
    same = {f"{PREFIX}cls_token_id": 1, f"{PREFIX}seperator_token_id": 2}
    assert special_tokens(metadata | same, TOKENS) == special_tokens(metadata, TOKENS)
    with pytest.raises(InputError, match=r"two different tokens(.|\n)*cls_token_id: 't5'.*'t1'"):
        special_tokens(metadata | {f"{PREFIX}cls_token_id": 5}, TOKENS)


def test_a_role_outside_the_vocabulary_is_an_error_that_names_it():
    with pytest.raises(InputError, match=r"(?s)has 20 tokens.*unknown_token_id: 20"):
        special_tokens(METADATA | {f"{PREFIX}unknown_token_id": 20}, TOKENS)
    with pytest.raises(InputError, match="no end-of-sequence token"):
        special_tokens({f"{PREFIX}tokens": TOKENS}, TOKENS)
