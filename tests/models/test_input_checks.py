"""Inputs that a model cannot take."""

import copy
import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import fsl_jax
from fsl_jax.adapt import PromptTuning
from fsl_jax.data.examples import text_example
from fsl_jax.errors import InputError
from fsl_jax.formulations import HeadFormulation, Template, TemplateFormulation, Verbalizer
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.t5.config import T5Config
from fsl_jax.models.input_checks import (
    check_length,
    padding_id,
    require_encoder_decoder,
    require_no_decoder_inputs,
    require_rows,
    require_token_ids,
)

SIZES = {"vocab_size": 8, "hidden_size": 4, "mlp_size": 8, "num_layers": 1, "num_heads": 2}
ENCODER = BertConfig(**SIZES, max_length=8)
ENCODER_DECODER = T5Config(**SIZES, num_decoder_layers=1, head_dim=2, max_length=8)


def test_as_many_tokens_as_the_model_reads_are_allowed():
    check_length("tiny", ENCODER, 5, before=3)


@pytest.mark.parametrize(
    ("length", "before", "message"),
    [
        (9, 0, "9 tokens are more than tiny can read at once, which is 8. Truncate the text to 8"),
        (1, 8, "1 token and the 8 before them are more than .* Truncate the text to 0 tokens"),
    ],
)
def test_more_tokens_are_an_error_that_says_how_many_fit(length, before, message):
    with pytest.raises(InputError, match=message):
        check_length("tiny", ENCODER, length, before)


def test_a_decoder_is_needed_to_encode_and_decode():
    require_encoder_decoder("tiny", ENCODER_DECODER, None)
    require_encoder_decoder("tiny", ENCODER_DECODER, "sequence_classification")
    with pytest.raises(InputError, match=r"tiny \(bert\) is no encoder-decoder"):
        require_encoder_decoder("tiny", ENCODER, None)
    with pytest.raises(InputError, match="the head mean_features, without its decoder"):
        require_encoder_decoder("tiny", ENCODER_DECODER, "mean_features")


def test_a_head_that_reads_input_ids_alone_takes_nothing_for_a_decoder():
    none = dict.fromkeys(("decoder_input_ids", "decoder_attention_mask"))
    require_no_decoder_inputs("tiny", "mean_features", none)
    some = none | {"decoder_attention_mask": jnp.ones((1, 2), bool)}
    with pytest.raises(InputError, match="Leave decoder_input_ids, decoder_attention_mask out"):
        require_no_decoder_inputs("tiny", "mean_features", some)


@pytest.fixture
def larger(tiny_llama):
    """A decoder of 40 tokens with a tokenizer of 42, of which one is for images and one pads."""
    tokenizer = copy.deepcopy(tiny_llama.tokenizer)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<image>"], "pad_token": "<pad>"})
    return dataclasses.replace(tiny_llama, name="tiny", tokenizer=tokenizer)


def test_a_text_with_a_token_that_has_no_row_is_an_error_that_names_both(larger):
    tokenizer = larger.tokenizer
    require_rows("tiny", tokenizer, 40, ["1 2"], [[2, 3]])
    with pytest.raises(InputError, match=r"'1 <image>' has the token '<image>', .* 40 rows"):
        require_rows("tiny", tokenizer, 40, ["1 2", "1 <image>"], [[2, 3], [2, 40]])


def test_padding_without_a_row_is_another_token(larger, tiny_llama):
    assert (larger.tokenizer.pad_token_id, padding_id(larger.tokenizer, 40)) == (41, 0)
    tokenizer = copy.deepcopy(tiny_llama.tokenizer)
    tokenizer.pad_token = "7"
    assert padding_id(tokenizer, 40) == tokenizer.pad_token_id == 9


def test_texts_are_checked_wherever_they_become_tokens(larger):
    examples = [text_example("1 2", "a"), text_example("1 <image>", "b")]
    head = HeadFormulation(larger, ("a", "b"))
    words = Verbalizer.from_mapping(("a", "b"), {"a": "3", "b": "4"})
    template = TemplateFormulation(larger, ("a", "b"), Template("{text}"), words)
    others = Verbalizer.from_mapping(("a", "b"), {"a": "3", "b": "<image>"})
    asked = TemplateFormulation(larger, ("a", "b"), Template("{text}"), others)
    assert head.tokenize(examples[:1]).tokens == template.tokenize(examples[:1]).tokens
    for refused in (
        lambda: head.tokenize(examples),
        lambda: template.tokenize(examples),
        lambda: asked.words,
        lambda: fsl_jax.models.generate(larger, ["1 <image>"], max_new_tokens=1),
        lambda: PromptTuning(start="text", text="1 <image>").resolve(larger, ()),
    ):
        with pytest.raises(InputError, match="has the token '<image>'"):
            refused()


@pytest.mark.parametrize("number", [-1, 40, 2**31 - 1])
def test_ids_that_have_no_row_are_an_error(tiny_llama, number):
    ids = np.array([[2, number]], np.int32)
    with pytest.raises(
        InputError, match=rf"40 rows of tokens, and was given the token id {number}"
    ):
        require_token_ids("tiny", tiny_llama.config, tiny_llama.params, None, ids)
    with pytest.raises(InputError, match="40 rows of tokens"):
        tiny_llama.apply(tiny_llama.params, ids, np.ones((1, 2), bool))


def test_ids_of_a_suffix_follow_those_of_the_words(tiny_llama):
    word = tiny_llama.params["embeddings"]["word"] | {"suffix": jnp.zeros((2, 32))}
    params = tiny_llama.params | {"embeddings": {"word": word}}
    require_token_ids("tiny", tiny_llama.config, params, np.array([[41]]))
    with pytest.raises(InputError, match="42 rows of tokens"):
        require_token_ids("tiny", tiny_llama.config, params, np.array([[42]]))
