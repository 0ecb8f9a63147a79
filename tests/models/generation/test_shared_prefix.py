"""Continuations stay the same where the beginning of all prompts is read only once."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt.parts.soft_prompt import with_word_leaves
from fsl_jax.models import generate
from fsl_jax.models.families.registry import module_of
from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.models.generation.shared_prefix import (
    PREFIX_STEP,
    common_beginning,
    prefix_length,
    worth_sharing,
)

LONGEST = 64
CONTEXT = " ".join(f"w{number % 37}" for number in range(3, 30))
PROMPTS = [f"{CONTEXT} {text}" for text in ("w20 w21", "w25 w3 w4 w9 w30", "w7")]


@pytest.fixture(scope="module")
def make(tiny_bases):
    """Makes a tiny model that reads 64 tokens; all layers of "mistral" slide, one of "gemma2"."""

    def model(family):
        base = tiny_bases["llama" if family == "mistral" else family]
        config = dataclasses.replace(base.config, max_length=LONGEST)
        if family == "mistral":
            config = dataclasses.replace(config, window=6, sliding=(True, True))
        if family == "gpt2":
            table = base.params["embeddings"]["position"]["embedding"]
            embeddings = base.params["embeddings"] | {
                "position": {"embedding": jnp.concatenate([table, -table])}
            }
            base = dataclasses.replace(base, params=base.params | {"embeddings": embeddings})
        return dataclasses.replace(base, config=config, module=module_of(config))

    return model


@pytest.fixture
def readings(monkeypatch):
    """The lengths, with padding, of the beginnings that are read."""
    lengths, read = [], PromptReader.read_prefix

    def counting(reader, params, ids, mask):
        lengths.append(ids.shape[1])
        return read(reader, params, ids, mask)

    monkeypatch.setattr(PromptReader, "read_prefix", counting)
    return lengths


def assert_same(model, **options):
    """Check that sharing the beginning of prompts changes neither tokens nor scores."""
    found = generate(model, PROMPTS, share_prefix=True, **options)
    expected = generate(model, PROMPTS, **options)
    for ours, theirs in zip(found, expected, strict=True):
        assert [each.tokens for each in ours] == [each.tokens for each in theirs]
        assert [each.text for each in ours] == [each.text for each in theirs]
        scores = [[each.score for each in found] for found in (ours, theirs)]
        np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-5)
    assert len({each[0].tokens for each in expected}) > 1


CASES = {
    "llama": {"repetition_penalty": 1.5},
    "gpt2": {},
    "mistral": {"stop": ["w1"]},
    "gemma2": {"num_beams": 2, "num_return_sequences": 2},
}


@pytest.mark.parametrize("family", CASES)
def test_a_beginning_is_read_once_and_changes_nothing(make, readings, family):
    assert_same(make(family), max_new_tokens=12, **CASES[family])
    assert readings == [32]


def test_padding_of_the_beginning_takes_no_room(make, readings):
    """The longest prompt has 32 tokens, of which 27 are shared, and 64 fit."""
    assert_same(make("llama"), max_new_tokens=32)
    assert readings == [27]


def test_a_soft_prompt_is_part_of_the_beginning(make, readings):
    model = make("gemma2")
    table = model.params["embeddings"]["word"]["embedding"]
    prompt = jnp.concatenate([table[jnp.array([40, 41])], jnp.zeros((1, table.shape[1]))])
    leaves = {"prompt": prompt, "prompt_mask": jnp.array([1.0, 1, 0])}
    assert_same(model, max_new_tokens=6, params=with_word_leaves(model.params, leaves))
    assert readings == [32]


def test_an_encoder_reads_every_prompt_whole(tiny_bases, readings):
    config = dataclasses.replace(tiny_bases["t5"].config, max_length=LONGEST)
    t5 = dataclasses.replace(tiny_bases["t5"], config=config, module=module_of(config))
    told = []
    assert_same(t5, max_new_tokens=6, batch_size=1, on_batch=told.append)
    assert readings == []
    assert told == [1, 2, 3] * 2


def test_few_tokens_are_not_worth_it():
    tokens = [[*range(16), 50], [*range(16), 51, 52]]
    assert worth_sharing(tokens, has_encoder=False) == 16
    assert worth_sharing(tokens, has_encoder=True) == 0
    assert worth_sharing([ids[1:] for ids in tokens], has_encoder=False) == 0


def test_a_prefix_has_one_of_few_lengths():
    lengths = {prefix_length(tokens, 8000) for tokens in range(1, 2049)}
    assert len(lengths) < 20
    assert all(length % PREFIX_STEP == 0 for length in lengths if length > PREFIX_STEP)
    for tokens in range(1, 2049):
        assert tokens <= prefix_length(tokens, 2048) <= min(2048, tokens + PREFIX_STEP)


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
    assert common_beginning(tokens) == shared
