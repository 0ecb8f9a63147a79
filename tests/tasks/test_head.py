import copy
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers.processors import TemplateProcessing

from fsl_jax.data.examples import Example
from fsl_jax.errors import InputError
from fsl_jax.tasks.formulation import Formulation
from fsl_jax.tasks.head import INITIAL_SCALE, LEAST_TOKENS, HeadFormulation


def reference(pooling, hidden, mask):
    """The pooled representation of each row, from its real tokens alone."""
    rows = [row[real] for row, real in zip(hidden, mask, strict=True)]
    pool = {
        "mean": lambda row: row.mean(axis=0),
        "cls": lambda row: row[0],
        "last": lambda row: row[-1],
    }
    return np.stack([pool[pooling](row) for row in rows])


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


@pytest.mark.parametrize("name", ["bert-head", "llama-head"])
def test_logits_are_a_linear_layer_on_what_is_pooled(tiny_formulations, name):
    formulation = tiny_formulations[name]
    assert isinstance(formulation, Formulation)
    pretrained = formulation.pretrained
    random = np.random.default_rng(0)
    head = {
        "kernel": random.normal(size=(16, 3)).astype(np.float32),
        "bias": random.normal(size=3).astype(np.float32),
    }
    params = pretrained.params | {"head": jax.tree.map(jnp.asarray, head)}
    mask = np.arange(16)[None] < np.array([16, 5, 1])[:, None]
    ids = np.where(mask, random.integers(2, 64, mask.shape), 0)
    batch = {"input_ids": jnp.asarray(ids, jnp.int32), "attention_mask": jnp.asarray(mask)}

    @jax.jit
    def compute(params, batch):
        hidden = pretrained.apply(params, batch["input_ids"], batch["attention_mask"]).hidden
        kept = formulation.representation(params, batch)
        logits = formulation.logits(params, batch)
        return hidden, logits, formulation.logits(params, {"representation": kept})

    hidden, logits, from_kept = compute(params, batch)
    pooled = reference(formulation.pooling, np.asarray(hidden), mask)
    np.testing.assert_allclose(logits, pooled @ head["kernel"] + head["bias"], atol=1e-5)
    np.testing.assert_array_equal(logits, from_kept)


def representation_of(pretrained, lengths):
    """Return texts of these lengths, their mask, and their pooled representations."""
    mask = np.arange(7)[None] < np.array(lengths)[:, None]
    ids = np.where(mask, np.random.default_rng(0).integers(2, 64, mask.shape), 0)
    batch = {"input_ids": jnp.asarray(ids, jnp.int32), "attention_mask": jnp.asarray(mask)}
    formulation = HeadFormulation(pretrained, ("a", "b"))
    return ids, mask, jax.jit(formulation.representation)(pretrained.params, batch)


def test_the_decoder_of_an_encoder_decoder_reads_a_text_too(tiny_bases):
    t5, lengths = tiny_bases["t5"], (7, 3, 1)
    ids, mask, found = representation_of(t5, lengths)
    shifted = np.concatenate([np.full((3, 1), t5.config.decoder_start_token), ids[:, :-1]], axis=1)
    output = t5.apply(
        t5.params, ids.astype(np.int32), mask, decoder_input_ids=shifted.astype(np.int32)
    )
    expected = np.stack([row[n - 1] for row, n in zip(output.hidden, lengths, strict=True)])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_encoder_loaded_without_its_decoder_is_pooled_by_itself(tiny_bases):
    whole, lengths = tiny_bases["t5"], (7, 3, 1)
    params = {name: leaf for name, leaf in whole.params.items() if name != "decoder"}
    encoder = dataclasses.replace(whole, head="mean_features", params=params)
    ids, mask, found = representation_of(encoder, lengths)
    output = whole.apply(whole.params, ids.astype(np.int32), mask, decoder_input_ids=ids[:, :1])
    rows = zip(output.encoder_hidden, lengths, strict=True)
    np.testing.assert_allclose(found, np.stack([row[:n].mean(0) for row, n in rows]), atol=1e-5)


def test_texts_are_cut_to_the_limit_and_counted(tiny_bases):
    formulation = HeadFormulation(tiny_bases["bert"], ("a", "b"), max_length=4)
    texts = ["w1 w2", "w1 w2 w3 w4", "w1 w2 w3 w4 w5"]
    tokens, cut = formulation.tokenize([Example(text, "a") for text in texts])
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
    tokens, cut = formulation.tokenize([Example("w1 w2 w3", "a"), Example("w1 w2 w3 w4", "a")])
    assert [closing.decode(ids) for ids in tokens] == ["w1 w2 w3 ."] * 2
    assert cut == 1


@pytest.mark.parametrize(("asked", "limit"), [(None, 32), (8, 8), (100, 32)])
def test_no_text_is_longer_than_the_model_takes(tiny_bases, asked, limit):
    assert HeadFormulation(tiny_bases["bert"], ("a", "b"), max_length=asked).limit == limit


@pytest.mark.parametrize(("asked", "limit"), [(None, 27), (8, 8), (100, 27)])
def test_room_is_left_for_what_stands_before_a_text(tiny_bases, asked, limit):
    formulation = HeadFormulation(
        tiny_bases["bert"], ("a", "b"), max_length=asked, reserved_positions=5
    )
    assert formulation.limit == limit
