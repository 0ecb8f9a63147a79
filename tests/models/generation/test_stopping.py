import numpy as np
import pytest

from fsl_jax.models.generation.stopping import (
    all_end_tokens,
    cut_at_stop,
    stop_length,
    stopped_rows,
)
from fsl_jax.models.generation.texts import ContinuationText


@pytest.fixture(scope="module")
def tokenizer():
    """Tokens that hold parts of words, joined as they are."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    pieces = ["<end>", "st", "op", "opera", "a", " ", "s", "to", "pper"]
    tokenizer = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, "a"))
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


@pytest.fixture(scope="module")
def text(tokenizer):
    """Decodes a continuation of nothing."""
    return ContinuationText(tokenizer, ())


@pytest.mark.parametrize(
    ("pieces", "length"),
    [
        (["a", "st", "op", "a"], 3),
        (["st", "opera", "a"], 2),
        (["s", "to", "pper"], 3),
        (["a", "s", "to", "a", "op"], None),
        (["<end>", "a"], None),
        ([], None),
    ],
)
def test_a_string_is_found_wherever_tokens_begin_and_end(tokenizer, text, pieces, length):
    tokens = tokenizer.convert_tokens_to_ids(pieces)
    assert stop_length(text, tokens, ["stop", "none"]) == length


def test_the_first_of_several_strings_counts(tokenizer, text):
    tokens = tokenizer.convert_tokens_to_ids(["a", " ", "st", "op"])
    assert stop_length(text, tokens, ["stop", " s"]) == 3
    assert cut_at_stop("a stop", ["stop", " s"]) == "a"
    assert cut_at_stop("a stop", ["b"]) == "a stop"


def test_white_space_at_the_beginning_may_be_passed_over(tokenizer, text):
    tokens = tokenizer.convert_tokens_to_ids([" ", "a", " ", "a"])
    assert stop_length(text, tokens, [" "]) == 1
    assert stop_length(text, tokens, [" "], skip_blank=True) == 3
    assert stop_length(text, tokens[:2], [" "], skip_blank=True) is None
    assert stop_length(text, tokens[:1], [" "], skip_blank=True) is None
    assert cut_at_stop(" a a", [" "], skip_blank=True) == " a"
    assert cut_at_stop("  ", [" "], skip_blank=True) == "  "


def test_a_special_token_may_be_a_stop_string(tokenizer, text):
    assert stop_length(text, tokenizer.convert_tokens_to_ids(["a", "<end>"]), ["<end>"]) == 2


def test_tokens_that_were_looked_at_are_passed_over(tokenizer, monkeypatch):
    tokens = tokenizer.convert_tokens_to_ids(["a"] * 20 + ["st", "op", "a"])
    looked_at = []
    decode = tokenizer.decode
    monkeypatch.setattr(
        tokenizer, "decode", lambda ids, **options: looked_at.append(1) or decode(ids, **options)
    )
    text = ContinuationText(tokenizer, ())
    assert stop_length(text, tokens, ["stop"], checked=20) == 22
    assert len(looked_at) == 1 + 3  # Once for the text before.


def test_rows_that_had_ended_are_not_looked_at(tokenizer, text):
    stop, other = (tokenizer.convert_tokens_to_ids(each) for each in (["st", "op"], ["a", "a"]))
    tokens = np.array([stop, stop, other, stop])
    done, lengths = np.array([False, True, False, False]), np.array([2, 2, 2, 1])
    assert stopped_rows([text] * 4, tokens, done, lengths, ["stop"], 0) == {0: 2}


def test_the_end_of_sequence_and_given_tokens_end(tiny_llama, tokenizer):
    import dataclasses

    model = dataclasses.replace(tiny_llama, tokenizer=tokenizer)
    problems = []
    assert all_end_tokens(model, [7, "op", "<end>"], problems) == [0, 2, 7]
    assert all_end_tokens(tiny_llama, [], problems) == []
    assert not problems
    all_end_tokens(model, [40, -1, "absent"], problems)
    assert len(problems) == 3
    problems.clear()
    all_end_tokens(model, "op", problems)
    assert problems == ["stop_tokens is the string 'op'; expected a sequence of tokens"]
    problems.clear()
    all_end_tokens(model, None, problems)
    all_end_tokens(model, [True], problems)
    assert problems[0] == "stop_tokens is None; expected a sequence of tokens"
    assert problems[1].startswith("stop_tokens: True is no token")
