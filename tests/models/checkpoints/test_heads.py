"""The heads that a model can have."""

import dataclasses

import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.checkpoints.heads import known_heads, require_head, require_special_tokens


@pytest.mark.parametrize(
    ("head", "labels", "message"),
    [
        ("masked_ml", None, r"unknown head 'masked_ml'\. Did you mean 'masked_lm'"),
        ("causal_lm", None, "family bert has no head causal_lm. It can have: masked_lm"),
        ("masked_lm", 2, "head masked_lm, which has no classes"),
        ("token_classification", 0, "expected 1 or more classes"),
    ],
)
def test_what_is_asked_for_has_to_be_possible(tiny_bert, head, labels, message):
    with pytest.raises(InputError, match=message):
        require_head("tiny", tiny_bert.config, head, labels)


@pytest.mark.parametrize(
    ("model", "head", "token"),
    [
        ("bert", "masked_lm", "mask_token"),
        ("bert", "sequence_classification", "cls_token"),
        ("llama", "cls_features", "cls_token"),
    ],
)
def test_a_head_needs_its_special_tokens(
    tiny_models, word_tokenizer, special_tokenizer, model, head, token
):
    config = tiny_models[model].config
    require_special_tokens("tiny", config, head, special_tokenizer)
    with pytest.raises(InputError, match=f"the head {head} needs a tokenizer with a {token}"):
        require_special_tokens("tiny", config, head, word_tokenizer)


def test_a_head_needs_a_special_token_that_the_model_embeds(tiny_bert, special_tokenizer):
    config = dataclasses.replace(tiny_bert.config, vocab_size=2)
    with pytest.raises(
        InputError, match=r"needs the mask_token '\[MASK\]', whose number is 2, and"
    ):
        require_special_tokens("tiny", config, "masked_lm", special_tokenizer)


def test_a_decoders_classes_need_no_special_token(tiny_models, word_tokenizer):
    config = tiny_models["llama"].config
    require_special_tokens("tiny", config, "sequence_classification", word_tokenizer)


def test_each_kind_of_model_has_its_heads(tiny_models):
    shared = ("sequence_classification", "token_classification", "mean_features", "cls_features")
    assert known_heads(tiny_models["bert"].config) == ("masked_lm", *shared)
    assert known_heads(tiny_models["llama"].config) == ("causal_lm", *shared)
