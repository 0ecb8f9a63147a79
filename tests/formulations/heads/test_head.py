import copy
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers.processors import TemplateProcessing

from fsl_jax.data.examples import text_example
from fsl_jax.errors import InputError
from fsl_jax.formulations.batches import packed_batch
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.formulations.heads.head import HeadFormulation
from fsl_jax.formulations.heads.text_head import INITIAL_SCALE, LEAST_TOKENS


def test_the_nearest_pooling_is_named(tiny_bases):
    with pytest.raises(InputError, match=r"unknown pooling 'maen'\. Did you mean 'mean'"):
        HeadFormulation(tiny_bases["bert"], ("a", "b"), pooling="maen")


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_the_first_token_stands_for_a_text_only_where_it_is_made_for_that(tiny_bases, name):
    base = tiny_bases[name]
    assert base.tokenizer.cls_token is None
    with pytest.raises(InputError, match=r"has no cls_token\. Pool by mean or last"):
        HeadFormulation(base, ("a", "b"), pooling="cls")


def test_a_method_that_leaves_no_position_for_a_text_is_refused(tiny_bases):
    base = tiny_bases["bert"]
    most = base.config.max_length - LEAST_TOKENS
    assert HeadFormulation(base, ("a", "b"), reserved_positions=most).limit == LEAST_TOKENS
    with pytest.raises(InputError, match=rf"a method takes {most + 1}, which leaves 2 for a text"):
        HeadFormulation(base, ("a", "b"), reserved_positions=most + 1)


def test_each_family_has_its_usual_pooling(tiny_bases):
    assert HeadFormulation(tiny_bases["bert"], ("a", "b")).pooling == "mean"
    assert HeadFormulation(tiny_bases["llama"], ("a", "b")).pooling == "last"
    assert HeadFormulation(tiny_bases["llama"], ("a", "b"), "mean").pooling == "mean"
    t5 = tiny_bases["t5"]
    assert HeadFormulation(t5, ("a", "b")).pooling == "last"
    encoder = dataclasses.replace(t5, head="mean_features")
    assert HeadFormulation(encoder, ("a", "b")).pooling == "mean"


def test_the_head_is_added_and_nothing_else_touched(tiny_formulations):
    formulation = tiny_formulations["bert-head"]
    params = formulation.prepare(formulation.pretrained.params, jax.random.key(0))
    width = formulation.pretrained.config.hidden_size
    head = params.pop("head")
    assert params == formulation.pretrained.params
    assert head["kernel"].shape == (width, 3)
    assert head["kernel"].dtype == head["bias"].dtype == jnp.float32
    assert 0.5 < float(head["kernel"].std()) / INITIAL_SCALE < 1.5
    np.testing.assert_array_equal(head["bias"], np.zeros(3))
    again = formulation.prepare(params, jax.random.key(0))["head"]["kernel"]
    other = formulation.prepare(params, jax.random.key(1))["head"]["kernel"]
    np.testing.assert_array_equal(again, head["kernel"])
    assert not np.array_equal(other, head["kernel"])


def alone(formulation, encoder_only=False):
    """Return a function that computes the logits of texts in rows of their own."""
    pooling, pretrained = formulation.pooling, formulation.pretrained

    def logits(params, ids, mask):
        inputs = {}
        if pretrained.config.is_encoder_decoder:
            start = jnp.full((len(ids), 1), pretrained.config.decoder_start_token, jnp.int32)
            shifted = jnp.concatenate([start, ids[:, :-1]], axis=1)
            inputs = {"decoder_input_ids": shifted, "decoder_attention_mask": mask}
        output = pretrained.apply(params, ids, mask, unembed=False, **inputs)
        hidden = output.encoder_hidden if encoder_only else output.hidden
        lengths = jnp.sum(mask, axis=1)
        if pooling == "mean":
            total = jnp.sum(hidden * mask[..., None].astype(hidden.dtype), axis=1)
            pooled = total / lengths[:, None].astype(hidden.dtype)
        else:
            pooled = hidden[jnp.arange(len(ids)), 0 if pooling == "cls" else lengths - 1]
        return pooled @ params["head"]["kernel"] + params["head"]["bias"][None]

    return logits


@pytest.mark.parametrize(
    ("family", "pooling", "method"),
    [
        ("bert", "mean", "lora(2)"),
        ("bert", "cls", "prompt_tuning(2)"),
        ("llama", "last", "prompt_tuning(2)"),
        ("llama", "mean", "prompt_tuning(2)"),
        ("t5", "last", "prompt_tuning(2)"),
    ],
)
def test_packed_texts_have_the_numbers_of_texts_alone(
    tiny_bases, with_head, assert_same, family, pooling, method, texts
):
    tokenizer = copy.deepcopy(tiny_bases[family].tokenizer)
    tokenizer.cls_token = "w0"
    base = dataclasses.replace(tiny_bases[family], tokenizer=tokenizer)
    formulation = HeadFormulation(base, ("a", "b", "c"), pooling)
    assert isinstance(formulation, Formulation)
    assert_same(formulation, with_head(formulation, method), texts, alone(formulation))


def test_an_encoder_loaded_without_its_decoder_is_pooled_by_itself(
    tiny_bases, with_head, assert_same, texts
):
    whole = tiny_bases["t5"]
    encoder = dataclasses.replace(whole, head="mean_features")
    formulation = HeadFormulation(encoder, ("a", "b"))
    reference = alone(dataclasses.replace(formulation, pretrained=whole), encoder_only=True)
    params = with_head(formulation, "prompt_tuning(2)")
    assert_same(formulation, params, texts, reference)
    params = {name: leaf for name, leaf in params.items() if name != "decoder"}
    batch = packed_batch(formulation.segments(params, texts))
    assert jnp.isfinite(jax.jit(formulation.outputs)(params, batch)).all()


def test_what_was_computed_once_gives_the_same_logits(tiny_bases, with_head, packed, texts):
    formulation = HeadFormulation(tiny_bases["llama"], ("a", "b"))
    params = with_head(formulation, "top_layers(1)")
    batch = packed(formulation.segments(params, texts))

    @jax.jit
    def compute(params, batch):
        kept = {"representation": formulation.representation(params, batch)}
        trunk = {"trunk": formulation.trunk(params, batch)}
        caches = ({}, kept, trunk)
        return [formulation.outputs(params, batch.replace(cached=cached)) for cached in caches]

    logits, *from_kept = compute(params, batch)
    assert np.abs(logits).max() > 0.1
    for each in from_kept:
        np.testing.assert_allclose(each, logits, rtol=1e-5, atol=1e-6)


def test_texts_are_cut_to_the_limit_and_counted(tiny_bases):
    formulation = HeadFormulation(tiny_bases["bert"], ("a", "b"), max_length=4)
    texts = ["w1 w2", "w1 w2 w3 w4", "w1 w2 w3 w4 w5"]
    tokenized = formulation.tokenize([text_example(text, "a") for text in texts])
    tokens, cut = tokenized.tokens, tokenized.truncated
    assert [len(ids) for ids in tokens] == [2, 4, 4]
    assert cut == 1


def test_special_tokens_stay_when_a_text_is_cut(tiny_bases, tiny_tokenizer):
    """Tokenizers of encoders end a text with a special token, which stays the last one."""
    closing = copy.deepcopy(tiny_tokenizer)
    closing.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A .", special_tokens=[(".", tiny_tokenizer.convert_tokens_to_ids("."))]
    )
    bert = dataclasses.replace(tiny_bases["bert"], tokenizer=closing)
    formulation = HeadFormulation(bert, ("a", "b"), max_length=4)
    texts = ("w1 w2 w3", "w1 w2 w3 w4")
    tokenized = formulation.tokenize([text_example(text, "a") for text in texts])
    assert [closing.decode(ids) for ids in tokenized.tokens] == ["w1 w2 w3 ."] * 2
    assert tokenized.truncated == 1


@pytest.mark.parametrize(("asked", "limit"), [(None, 32), (8, 8), (100, 32)])
def test_no_text_is_longer_than_the_model_takes(tiny_bases, asked, limit):
    assert HeadFormulation(tiny_bases["bert"], ("a", "b"), max_length=asked).limit == limit


@pytest.mark.parametrize(("asked", "limit"), [(None, 27), (8, 8), (100, 27)])
def test_room_is_left_for_what_stands_before_a_text(tiny_bases, asked, limit):
    formulation = HeadFormulation(
        tiny_bases["bert"], ("a", "b"), max_length=asked, reserved_positions=5
    )
    assert formulation.limit == limit
