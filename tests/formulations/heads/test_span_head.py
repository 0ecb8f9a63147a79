import dataclasses

import jax
import numpy as np
import pytest
from script_tokenizers import script_tokenizer
from tiny_heads import EXAMPLES

from fsl_jax.data.examples import Example
from fsl_jax.errors import InputError
from fsl_jax.formulations.batches import packed_batch
from fsl_jax.formulations.heads.span_head import SpanHead
from fsl_jax.formulations.objectives.spans import NONE, SpanLogits

EXAMPLES = EXAMPLES["span_head"]
CONTEXT = "  The Café\tin 世界, (\U0001f600 naïve) was opened in 1999.\nBy Zoë! "


def asked(answers, context=CONTEXT, question="Who w1?"):
    pairs = tuple((text, context.index(text)) for text in answers)
    return Example({"question": question, "context": context}, pairs)


@pytest.fixture(scope="module")
def reading(tiny_bases):
    """Makes a head whose tokenizer is of a family."""

    def make(family, base="bert", **options):
        model = dataclasses.replace(tiny_bases[base], tokenizer=script_tokenizer(family))
        config = dataclasses.replace(model.config, vocab_size=len(model.tokenizer), max_length=64)
        return SpanHead(dataclasses.replace(model, config=config), **options)

    return make


def outputs_for(tokenized, spans, null=0.0, score=9.0):
    """Logits that are high where each example's span starts and ends, in each of its windows."""
    tokens = tokenized.features["tokens"][:, None]
    start, end = np.zeros((2, *tokens.shape), np.float32)
    for owner, window_start, window_end, numbers in zip(
        tokenized.owners, start, end, tokens, strict=True
    ):
        first, last = spans[owner]
        window_start[numbers == first], window_end[numbers == last] = score, score
    # What is no place of an answer never counts, however high its logit.
    start[tokens == NONE] = 99
    start[:, :, 0] = null
    return SpanLogits(start, end, tokens)


ANSWERS = ["Café", "世界", "(\U0001f600", "naïve", "1999.\nBy", "Zoë"]


@pytest.mark.parametrize(
    ("family", "base", "length"),
    [
        ("bert cased", "bert", 16),
        ("roberta", "bert", 32),
        ("t5", "t5", 32),
        ("gpt2", "gpt2", 32),
        ("llama", "llama", 32),
    ],
)
def test_answers_come_back_exactly_from_windows(reading, family, base, length):
    head = reading(family, base, overlap=12, max_length=length)
    examples = [asked([answer]) for answer in ANSWERS]
    tokenized = head.tokenize(examples)
    assert (tokenized.counts > 1).all()
    spans = head.targets(examples, tokenized)
    assert (spans.first[:, 0] >= 0).all()
    outputs = outputs_for(tokenized, np.transpose(spans)[0])
    found = head.decode(outputs, examples, tokenized)
    assert found == [example.answer for example in examples]


def test_the_null_place_wins_if_it_scores_higher_in_every_window(tiny_head):
    head = tiny_head("span_head", "bert")
    tokenized = head.tokenize(EXAMPLES)
    spans = [(4, 5), (0, 0), (1, 1), (3, 4)]
    high = outputs_for(tokenized, spans, null=19.0)
    assert head.decode(high, EXAMPLES, tokenized) == [()] * 4
    answering = dataclasses.replace(head, may_be_silent=False)
    expected = [(("w5 w6", 12),), (("w4", 0),), (("w1", 4),), (("w33 w34", 12),)]
    assert answering.decode(high, EXAMPLES, tokenized) == expected
    assert head.decode(outputs_for(tokenized, spans, null=17.0), EXAMPLES, tokenized) == expected


def test_targets_are_all_correct_spans_and_minus_one(tiny_head):
    head = tiny_head("span_head", "bert")
    found = head.targets(EXAMPLES, head.tokenize(EXAMPLES))
    assert found.first.tolist() == [[4, 4], [0, NONE], [NONE, NONE], [3, NONE]]
    assert found.last.tolist() == [[5, 4], [0, NONE], [NONE, NONE], [4, NONE]]


@pytest.mark.parametrize(("family", "null"), [("bert", 0), ("llama", 9), ("t5", 0)])
def test_the_null_place_is_first_but_last_in_a_decoder(tiny_head, family, null):
    head = tiny_head("span_head", family)
    tokenized = head.tokenize(EXAMPLES)
    assert tokenized.counts.tolist() == [3, 1, 2, 1]
    assert tokenized.features["places"][0, :10].tolist() == [null, *range(2, 10), NONE]
    assert tokenized.features["tokens"][0, :10].tolist() == [NONE, *range(8), NONE]
    assert tokenized.features["tokens"][1, :10].tolist() == [NONE, *range(5, 13), NONE]


def test_long_questions_are_cut_and_counted(tiny_head):
    head = tiny_head("span_head", "bert", max_length=4)
    tokenized = head.tokenize(EXAMPLES)
    assert tokenized.truncated == 1
    assert head.pretrained.tokenizer.decode(tokenized.tokens[-1]).startswith("w2 w3")


def test_answers_that_stand_nowhere_are_named(tiny_head):
    head = tiny_head("span_head", "bert")
    examples = [Example({"question": "w1", "context": "w2 w3"}, (("w9", 40),)), EXAMPLES[0]]
    with pytest.raises(InputError) as error:
        head.targets(examples, head.tokenize(examples))
    assert error.value.problems == ("'w1', answer 'w9'",)


def test_logits_are_those_of_the_places(tiny_head):
    head = tiny_head("span_head", "llama")
    tokenized = head.tokenize(EXAMPLES[1:2])
    params = head.prepare(head.pretrained.params, jax.random.key(0))
    batch = packed_batch(head.segments(params, tokenized.tokens), features=tokenized.features)

    @jax.jit
    def read(params, batch):
        hidden = head.hidden(params, batch, {})[0]
        return head.outputs(params, batch), hidden @ params["head"]["kernel"]

    found, expected = read(params, batch)
    assert found.tokens[0, 0, :5].tolist() == [NONE, 0, 1, 2, NONE]
    places = np.array([3, 1, 2, 3])
    np.testing.assert_allclose(found.start[0, 0, :4], expected[places, 0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.end[0, 0, :4], expected[places, 1], rtol=1e-4, atol=1e-6)
