import dataclasses

import jax
import numpy as np
import pytest

import fsl_jax
from fsl_jax.data.examples import text_example
from fsl_jax.formulations import Template, TemplateFormulation, Verbalizer
from fsl_jax.formulations.batches import unpacked_batch
from fsl_jax.incontext.demonstrations import context
from fsl_jax.incontext.scoring import QueryScorer, common_prefix
from fsl_jax.models.families.registry import initialise, module_of

LABELS = ("east", "north", "west")
WORDS = {"one token": {}, "several tokens": {"east": ["far east", "east"], "west": "very far west"}}
LONGEST = 96


@pytest.fixture(scope="module")
def make(tiny_bases):
    """Makes a formulation of a tiny decoder that reads 96 tokens."""
    config = dataclasses.replace(tiny_bases["llama"].config, max_length=LONGEST)
    params = jax.jit(lambda: initialise(config, jax.random.key(3)))()
    params = jax.tree.map(lambda leaf: leaf * 3, params)
    long = dataclasses.replace(
        tiny_bases["llama"], config=config, module=module_of(config), params=params
    )

    def formulation(words="one token", max_length=None):
        verbalizer = Verbalizer.from_mapping(LABELS, WORDS[words])
        template = Template("{text} . Topic :")
        return TemplateFormulation(long, LABELS, template, verbalizer, max_length)

    return formulation


def texts(*lengths, seed=0):
    random = np.random.default_rng(seed)
    return [
        text_example(" ".join(f"w{number}" for number in random.integers(54, size=length)), "east")
        for length in lengths
    ]


def scored(formulation, queries, before="", **settings):
    return QueryScorer(formulation, **settings)(formulation.pretrained.params, queries, before)


def read_whole(formulation, queries, before=""):
    """The scores of prompts that are read from their first token to their last."""
    tokens = formulation.tokenize(queries, before).tokens
    params = formulation.pretrained.params
    batch = unpacked_batch(formulation.segments(params, tokens))
    return np.asarray(jax.jit(formulation.outputs)(params, batch))


def assert_same_choice(logits, expected):
    """Check that scores agree up to a constant for each row, and are not all alike."""
    logits, expected = (each - each.mean(axis=1, keepdims=True) for each in (logits, expected))
    np.testing.assert_allclose(logits, expected, atol=2e-5)
    assert np.abs(expected).max() > 1e-2


@pytest.mark.parametrize("words", WORDS)
def test_scores_after_a_shared_context_are_those_of_whole_prompts(make, words):
    formulation = make(words)
    before = context(formulation, texts(9, 8, 7, seed=1))
    queries = texts(2, 5, 1, 12, 3)
    found = scored(formulation, queries, before, batch_tokens=64)
    shared = len(formulation.pretrained.tokenizer(before)["input_ids"])
    assert found.shared_tokens == shared
    assert found.truncated == 0
    assert found.logits.dtype == np.float32
    assert_same_choice(found.logits, read_whole(formulation, queries, before))


@pytest.mark.parametrize("words", WORDS)
def test_prompts_without_a_common_beginning_are_read_by_themselves(make, words):
    queries = texts(2, 20, 1, 12, 3)
    found = scored(make(words), queries)
    assert found.shared_tokens == 0
    assert_same_choice(found.logits, read_whole(make(words), queries))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("length", [4, 40])
def test_queries_that_are_all_the_same_have_a_token_each(make, count, length):
    """All tokens but the last are shared if there is one query, or if all are equal."""
    queries = texts(length) * count
    found = scored(make(), queries)
    assert found.shared_tokens == (length + 2 if length > 16 else 0)
    assert_same_choice(found.logits, read_whole(make(), queries))


def test_a_prompt_may_be_the_beginning_of_another(make):
    queries = texts(30)
    longer = text_example(queries[0].text + " . Topic : w1", "west")
    found = scored(make(), [*queries, longer])
    assert found.shared_tokens == 30 + 2
    assert_same_choice(found.logits, read_whole(make(), [*queries, longer]))


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("shown", [16, 63, 78])
def test_prompts_as_long_as_the_model_reads_work(make, words, shown):
    formulation = make(words)
    before = texts(shown, seed=1)[0].text + " "
    longest = formulation.limit - shown - 3
    queries = texts(1, longest, longest - 1, longest + 9)
    found = scored(formulation, queries, before)
    assert found.truncated == 1
    assert found.shared_tokens == shown
    assert_same_choice(found.logits, read_whole(formulation, queries, before))


def test_the_context_is_read_once_and_lengths_share_programs(make, compilations, monkeypatch):
    formulation = make()
    params = formulation.pretrained.params
    scorer = QueryScorer(formulation, batch_tokens=64)
    readings = []
    read = scorer._read
    monkeypatch.setattr(scorer, "_read", lambda *inputs: readings.append(1) or read(*inputs))
    contexts = [context(formulation, texts(9, 8, 7, seed=seed)) for seed in (1, 2)]
    with compilations() as compiled:
        scorer(params, texts(*range(1, 30)), contexts[0])
    assert len(readings) == 1
    programs = [name for name in compiled if name in ("jit(_read_prefix)", "jit(_score_rows)")]
    assert len(programs) == 2
    with compilations() as compiled:
        scorer(params, texts(7, 28, 13), contexts[1])
    assert len(readings) == 2
    assert compiled == []


def test_each_query_is_told_of_when_it_is_done(make):
    told = []
    formulation = make()
    scorer = QueryScorer(formulation, batch_tokens=64)
    scorer(formulation.pretrained.params, texts(*range(1, 30)), on_batch=told.append)
    assert len(told) > 2
    assert told == sorted(set(told))
    assert told[-1] == 29


def test_an_encoder_reads_every_prompt_whole(make, tiny_bases):
    config = dataclasses.replace(tiny_bases["t5"].config, max_length=LONGEST)
    t5 = dataclasses.replace(tiny_bases["t5"], config=config, module=module_of(config))
    formulation = dataclasses.replace(make("several tokens"), pretrained=t5)
    before, queries = "w1 w2 w3 w4 . " * 6, texts(3, 9, 5)
    found = scored(formulation, queries, before)
    assert found.shared_tokens == 0
    assert scored(make(), queries, before).shared_tokens >= 30
    np.testing.assert_allclose(found.logits, read_whole(formulation, queries, before), atol=1e-5)
    assert not np.allclose(found.logits, scored(formulation, queries).logits, atol=1e-3)


@pytest.mark.parametrize(
    ("tokens", "shared"),
    [
        ([[1, 2, 3], [1, 2, 4]], 2),
        ([[1, 2], [3, 2]], 0),
        ([[1, 2, 3]], 2),
        ([[1]], 0),
        ([[1, 2], [1, 2, 3]], 1),
        ([[1, 2], [1, 2], [1, 2]], 1),
    ],
)
def test_every_prompt_keeps_a_token_of_its_own(tokens, shared):
    assert common_prefix(tokens) == shared


def test_smollm2_says_the_same_with_demonstrations_read_once():
    smollm2 = fsl_jax.load("smollm2-135m")
    labels = ("business", "sports")
    verbalizer = Verbalizer.from_mapping(labels, {"business": ["business", "the stock market"]})
    template = Template("Headline: {text}\nCategory:")
    formulation = TemplateFormulation(smollm2, labels, template, verbalizer)
    shown = [
        text_example("Shares fall as oil prices climb", "business"),
        text_example("Late goal sends United through", "sports"),
    ]
    queries = [
        text_example("Bank cuts interest rates", "business"),
        text_example("Cup final", "sports"),
    ]
    before = context(formulation, shown)
    found = scored(formulation, queries, before, batch_tokens=64)
    assert found.shared_tokens > 16
    whole = read_whole(formulation, queries, before)
    np.testing.assert_allclose(found.logits - found.logits[:, :1], whole - whole[:, :1], atol=1e-3)
