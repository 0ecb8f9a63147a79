import dataclasses

import jax
import numpy as np
import pytest

from fsl_jax.data.examples import text_example
from fsl_jax.errors import InputError
from fsl_jax.formulations.batches import packed_batch
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.formulations.template import Template
from fsl_jax.formulations.template_formulation import TemplateFormulation
from fsl_jax.formulations.verbalizer import Verbalizer

LABELS = ("east", "north", "west")
FAR = {"east": ["very far east", "far east"], "west": "very very far west"}
TEMPLATE = Template("{text} . Topic :")
AROUND = 3


@pytest.fixture
def make(tiny_bases):
    """Makes a formulation of the tiny decoder, which reads 32 tokens."""

    def formulation(words=(), max_length=None, template=TEMPLATE):
        verbalizer = Verbalizer.from_mapping(LABELS, dict(words))
        return TemplateFormulation(tiny_bases["llama"], LABELS, template, verbalizer, max_length)

    return formulation


def text(words):
    return text_example(" ".join(["w1"] * words), "east")


def logits_of(formulation, examples):
    params = formulation.pretrained.params
    tokens = formulation.tokenize(examples).tokens
    return jax.jit(formulation.outputs)(params, packed_batch(formulation.segments(params, tokens)))


def test_an_encoder_is_refused_with_what_to_do(tiny_bases):
    verbalizer = Verbalizer.from_mapping(LABELS)
    with pytest.raises(InputError, match=r"tiny-bert has no .*use the formulation head"):
        TemplateFormulation(tiny_bases["bert"], LABELS, TEMPLATE, verbalizer)


def test_a_model_with_a_head_of_another_kind_is_refused(tiny_bases):
    encoder = dataclasses.replace(tiny_bases["t5"], head="mean_features")
    with pytest.raises(InputError, match=r"tiny-t5 has no .*use the formulation head"):
        TemplateFormulation(encoder, LABELS, TEMPLATE, Verbalizer.from_mapping(LABELS))


def test_it_is_a_formulation_that_adds_no_parameters(make, tiny_bases):
    formulation = make()
    assert isinstance(formulation, Formulation)
    params = tiny_bases["llama"].params
    assert formulation.prepare(params, jax.random.key(0)) is params


def test_words_have_the_model_s_tokens(make, tiny_tokenizer):
    words = make(FAR).words
    assert tiny_tokenizer.convert_ids_to_tokens(words.first_tokens) == [
        "very",
        "far",
        "north",
        "very",
    ]
    assert words.class_index.tolist() == [0, 0, 1, 2]
    assert words.extra_positions == 3


@pytest.mark.parametrize(
    ("words", "max_length", "limit"),
    [((), None, 32), ((), 20, 20), ((), 50, 32), (FAR, 20, 17), (FAR, None, 29), (FAR, 50, 29)],
)
def test_room_is_left_for_the_words(make, words, max_length, limit):
    """Words of up to four tokens take three positions, which they share."""
    assert make(words, max_length).limit == limit
    # Reserved positions are taken from those of the model, not from `max_length`.
    moved = dataclasses.replace(make(words, max_length), reserved_positions=1)
    assert moved.limit == (limit if max_length == 20 else limit - 1)


@pytest.mark.parametrize(("max_length", "limit"), [(None, 31), (20, 20), (50, 31)])
def test_words_take_no_room_of_an_encoder_s(make, tiny_bases, max_length, limit):
    formulation = dataclasses.replace(
        make(FAR, max_length), pretrained=tiny_bases["t5"], reserved_positions=1
    )
    assert formulation.limit == formulation.limit_with_words == limit
    assert make(FAR, max_length).limit_with_words == make(FAR, max_length).limit + 3


@pytest.mark.parametrize("words", [(), FAR], ids=["one token", "several"])
def test_a_text_longer_than_the_model_is_cut_and_scored(make, words):
    formulation = make(words)
    room = formulation.limit - AROUND
    tokenized = formulation.tokenize([text(2), text(room), text(room + 1), text(500)])
    tokens, cut = tokenized.tokens, tokenized.truncated
    assert cut == 2
    assert [len(ids) for ids in tokens[1:]] == [formulation.limit] * 3
    tail = formulation.pretrained.tokenizer(". Topic :")["input_ids"]
    assert [ids[-3:] for ids in tokens[2:]] == [tail, tail]
    params = formulation.pretrained.params
    batch = packed_batch(formulation.segments(params, tokens), length=72)
    logits = jax.jit(formulation.outputs)(params, batch)
    np.testing.assert_allclose(logits[1:], np.tile(logits[1], (3, 1)), atol=1e-5)
    assert not np.allclose(logits[0], logits[1], atol=1e-2)


def test_a_template_longer_than_the_model_is_refused(make):
    formulation = make(template=Template("{text} " + "very " * 32 + ":"))
    with pytest.raises(InputError, match="shorten the template"):
        formulation.tokenize([text(1)])


def test_what_stands_before_a_prompt_takes_of_its_room(make):
    formulation = make(max_length=16)
    tokenized = formulation.tokenize([text(9), text(10)], "w9 w9 w9 . ")
    tokens, cut = tokenized.tokens, tokenized.truncated
    assert [len(ids) for ids in tokens] == [16, 16]
    assert cut == 1
    assert formulation.pretrained.tokenizer.decode(tokens[1]).startswith("w9 w9 w9 . w1")


def test_a_tokenizer_that_opens_texts_with_a_token_does_so_once(
    make, tiny_bases, opening_tokenizer
):
    llama = dataclasses.replace(tiny_bases["llama"], tokenizer=opening_tokenizer)
    formulation = dataclasses.replace(make(FAR), pretrained=llama)
    tokens = formulation.tokenize([text(2)], "w9 . ").tokens
    assert opening_tokenizer.convert_ids_to_tokens(tokens[0]) == [
        *("[UNK]", "w9", ".", "w1", "w1", ".", "Topic", ":"),
    ]
    np.testing.assert_array_equal(formulation.words.first_tokens, make(FAR).words.first_tokens)
    np.testing.assert_array_equal(formulation.words.inputs, make(FAR).words.inputs)


MANY_LONG = {label: ["very " * number + label for number in (8, 9, 10)] for label in LABELS}


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_many_long_words_are_scored_as_each_alone(tiny_bases, family):
    """Side by side they are three times as many tokens as the model has positions."""
    pretrained = tiny_bases[family]
    verbalizer = Verbalizer.from_mapping(LABELS, MANY_LONG)
    formulation = TemplateFormulation(pretrained, LABELS, TEMPLATE, verbalizer)
    assert formulation.words.inputs.size > 2 * pretrained.config.max_length
    logits = logits_of(formulation, [text(2)])
    one = Verbalizer.from_mapping(LABELS, {label: MANY_LONG[label][2] for label in LABELS})
    alone = TemplateFormulation(pretrained, LABELS, TEMPLATE, one)
    only = logits_of(alone, [text(2)])
    assert np.isfinite(logits).all()
    # The shorter words add to the probability of each class.
    assert np.all(logits > only)


def test_words_that_leave_no_position_for_a_prompt_say_what_they_need(tiny_bases, make):
    long = {"east": "very " * 40 + "east"}
    with pytest.raises(InputError, match=r"needs 40 positions after a prompt.* there are 32 for"):
        make(long).tokenize([text(2)])
    verbalizer = Verbalizer.from_mapping(LABELS, long)
    formulation = TemplateFormulation(tiny_bases["t5"], LABELS, TEMPLATE, verbalizer)
    with pytest.raises(InputError, match="choose shorter label words"):
        formulation.tokenize([text(2)])


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_prompts_have_no_end_token_but_for_an_encoder(tiny_bases, closing_tokenizer, family):
    pretrained = dataclasses.replace(tiny_bases[family], tokenizer=closing_tokenizer)
    verbalizer = Verbalizer.from_mapping(LABELS, FAR)
    formulation = TemplateFormulation(pretrained, LABELS, TEMPLATE, verbalizer)
    plain = TemplateFormulation(tiny_bases[family], LABELS, TEMPLATE, verbalizer)
    (ids,) = formulation.tokenize([text(3)]).tokens
    end = [closing_tokenizer.unk_token_id] if family == "t5" else []
    assert ids == plain.tokenize([text(3)]).tokens[0] + end
    assert formulation.words.inputs.tolist() == plain.words.inputs.tolist()
    assert formulation.count_tokens([TEMPLATE.render({"text": "w1"})]) == [4 + len(end)]
