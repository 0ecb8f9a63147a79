import dataclasses

import pytest

from fsl_jax.formulations.writing.answer_tokens import (
    answer_array,
    end_token,
    tokens_after,
    tokens_alone,
)


@pytest.mark.parametrize(
    ("prompt", "continuation", "expected"),
    [
        ("x is:", " dog", ("x is:", " dog")),
        ("x is:", "", ("x is:", "")),
        # Two new lines, or `a` and `b`, are one token, which belongs to what follows.
        ("x\n", "\n", ("x", "\n\n")),
        ("xa", "bc", ("x", "abc")),
        # A prompt keeps a token, even if that is another one than without the answer.
        ("a", "bd", ("ab", "d")),
    ],
)
def test_an_answer_has_the_tokens_after_those_of_its_prompt(
    byte_tokenizer, prompt, continuation, expected
):
    ids = byte_tokenizer(prompt)["input_ids"]
    both = tokens_after(byte_tokenizer, prompt, ids, continuation)
    assert tuple(map(byte_tokenizer.decode, both)) == expected


def test_an_answer_alone_has_no_special_tokens(closing_tokenizer, tiny_tokenizer):
    plain = tiny_tokenizer("w1 w2")["input_ids"]
    assert tokens_alone(closing_tokenizer, "w1 w2") == plain


def test_the_end_is_a_token_at_which_generation_ends(writers):
    base = writers["llama"].pretrained
    assert end_token(base) == base.tokenizer.eos_token_id == 63
    assert end_token(dataclasses.replace(base, end_tokens=(5, 63))) == 63
    assert end_token(dataclasses.replace(base, end_tokens=(7, 5))) == 5


def test_shorter_answers_are_filled_up():
    assert answer_array([[4, 5, 6], [], [7]]).tolist() == [[4, 5, 6], [-1] * 3, [7, -1, -1]]
    assert answer_array([[], []]).tolist() == [[-1], [-1]]
