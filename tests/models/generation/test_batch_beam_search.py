"""Beams that strings end, and beams that are drawn, are those of transformers."""

import itertools

import jax
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from fsl_jax.models import generate
from fsl_jax.models.generation import beam_candidates
from fsl_jax.models.generation.programs import program

# Transformers looks for a stop string in the prompt's last tokens too: prompts end in their own.
PROMPTS = ["p qr zz", "s zz", "pq r ss p zz"]
BEAMS = {"num_beams": 4, "num_return_sequences": 3, "max_new_tokens": 10}
ENDS = [7]


@pytest.fixture(scope="module")
def pair(save_and_load, decoder_sizes):
    """A model whose tokens are pieces of words, written without spaces."""
    parts = ("".join(each) for n in (1, 2, 3) for each in itertools.product("pqrs", repeat=n))
    # Transformers finds out what tokens are written as by putting them behind "abcdef".
    pieces = ["[PAD]", "[UNK]", "abcdef", "zz", *itertools.islice(parts, 36)]
    tokenizer = Tokenizer(WordLevel({piece: i for i, piece in enumerate(pieces)}, "[UNK]"))
    tokenizer.pre_tokenizer, tokenizer.decoder = Whitespace(), decoders.Fuse()
    roles = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)
    return save_and_load("llama", tokenizer, **decoder_sizes)


def assert_same(ours, theirs):
    """The same tokens and scores."""
    flat = [each for continuations in ours for each in continuations]
    assert [list(each.tokens) for each in flat] == [tokens for tokens, _ in theirs]
    scores = [[each.score for each in flat], [score for _, score in theirs]]
    np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stop", [["rpr", "ss"], ["qq"], ["p"]])
def test_strings_end_beams(pair, continue_in_torch, stop):
    pretrained, model = pair
    ours = generate(pretrained, PROMPTS, stop=stop, stop_tokens=ENDS, **BEAMS)
    options = BEAMS | {"stop_strings": stop, "tokenizer": pretrained.tokenizer}
    assert_same(ours, continue_in_torch(pretrained, model, PROMPTS, ENDS, **options))
    ended = {each.ended for continuations in ours for each in continuations}
    assert "stop" in ended
    for each in itertools.chain(*ours):
        text = pretrained.tokenizer.decode(each.tokens)
        assert (each.ended == "stop") == (each.tokens[-1] in ENDS or any(s in text for s in stop))
        assert not any(string in each.text for string in stop)
    assert ours != generate(pretrained, PROMPTS, stop_tokens=ENDS, **BEAMS)


def test_a_search_ends_when_strings_have_ended_all_beams(pair, continue_in_torch):
    """One prompt at a time, since transformers then goes on for the sake of the others."""
    pretrained, model = pair
    stop = list("pqrs")
    ours = generate(pretrained, PROMPTS, stop=stop, **BEAMS)
    options = BEAMS | {"stop_strings": stop, "tokenizer": pretrained.tokenizer}
    for prompt, found in zip(PROMPTS, ours, strict=True):
        assert_same([found], continue_in_torch(pretrained, model, [prompt], None, **options))
    assert {each.ended for each in itertools.chain(*ours)} == {"stop"}


SAMPLED = {
    "plain": {"temperature": 1.0, "top_k": 40},
    "filtered": {"temperature": 0.8, "top_k": 12, "top_p": 0.9, "repetition_penalty": 1.2},
    "narrow": {"temperature": 0.7, "top_k": 40, "min_p": 0.9},
}


@pytest.fixture
def same_noise(monkeypatch):
    """Both draw by the same noise, which depends on the step alone."""
    noise = np.random.default_rng(0).gumbel(size=(32, BEAMS["num_beams"] * 40)).astype(np.float32)
    steps = itertools.count()

    def ours(scores, count, keys, step):
        places = jax.lax.top_k(scores + jax.numpy.asarray(noise)[step][None], count)[1]
        return jax.numpy.take_along_axis(scores, places, axis=1), places

    def theirs(probabilities, num_samples):
        scores = torch.log(probabilities) + torch.tensor(noise[next(steps)])
        return torch.topk(scores, num_samples)[1]

    monkeypatch.setattr(beam_candidates, "draw_several", ours)
    monkeypatch.setattr(torch, "multinomial", theirs)
    program.cache_clear()
    yield
    program.cache_clear()


@pytest.mark.usefixtures("same_noise")
@pytest.mark.parametrize("way", SAMPLED)
def test_drawn_beams_are_those_of_transformers(pair, continue_in_torch, way):
    options = BEAMS | SAMPLED[way]
    ours = generate(pair[0], PROMPTS, stop_tokens=ENDS, **options)
    assert_same(ours, continue_in_torch(*pair, PROMPTS, ENDS, do_sample=True, **options))


def test_drawn_beams_repeat_and_depend_on_no_other_prompt(pair):
    def texts(prompts, seed=0):
        options = BEAMS | {"temperature": 1.0, "seed": seed}
        return [[each.text for each in of] for of in generate(pair[0], prompts, **options)]

    whole = texts(PROMPTS)
    assert texts(PROMPTS[::-1]) == whole[::-1]
    assert texts(PROMPTS[:2]) == whole[:2]
    assert texts(PROMPTS, seed=1) != whole


def test_beams_that_are_not_there_are_not_returned(pair):
    """Two tokens remain at each step, and only one step is taken."""
    options = BEAMS | {"temperature": 1.0, "top_k": 1, "max_new_tokens": 1}
    ours = generate(pair[0], PROMPTS, **options)
    assert [len(found) for found in ours] == [2, 2, 2]
    ours = generate(pair[0], PROMPTS, **options | {"max_new_tokens": 3})
    assert [len(found) for found in ours] == [3, 3, 3]
    for found in ours:
        assert len({each.tokens for each in found}) == 3
