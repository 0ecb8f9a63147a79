import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.vocabulary import gguf_end_tokens, token_kinds

PREFIX = "tokenizer.ggml."
METADATA = {f"{PREFIX}tokens": [f"t{number}" for number in range(20)], f"{PREFIX}eos_token_id": 2}


def test_all_ends_that_the_file_names_are_found():
    assert gguf_end_tokens(METADATA) == (2,)
    named = {f"{PREFIX}eot_token_id": 7, f"{PREFIX}eom_token_id": 5}
    assert gguf_end_tokens(METADATA | named) == (2, 5, 7)


@pytest.mark.parametrize(("end", "words"), [(20, "lacks.*20"), ("</s>", "hold a str")])
def test_an_end_that_is_no_token_is_an_error(end, words):
    with pytest.raises(InputError, match=f"(?s){words}"):
        gguf_end_tokens(METADATA | {f"{PREFIX}eot_token_id": end})


def test_all_tokens_are_normal_where_nothing_is_said():
    np.testing.assert_array_equal(token_kinds(METADATA, METADATA[f"{PREFIX}tokens"]), 1)
