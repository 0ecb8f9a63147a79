"""Continuations are those of transformers, token for token, and depend on no other prompt."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models import generate
from fsl_jax.models.generation import decode_loop
from fsl_jax.models.generation.decode_loop import DecodeBatch
from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.models.generation.sampling import Sampling

SLIDING = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}
T5 = {
    "vocab_size": 40,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
# What these have beside the sizes that they share.
DECODERS = {
    "llama": {},
    "mistral": {"sliding_window": 4},
    "qwen2": {},
    "qwen3": {},
    "gemma2": SLIDING | {"query_pre_attn_scalar": 8},
    "gemma3_text": SLIDING | {"query_pre_attn_scalar": 8},
}
OTHERS = {
    "gpt2": {"vocab_size": 40, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "t5": T5,
    "mt5": T5 | {"feed_forward_proj": "gated-gelu", "untied": True},
}
UNTIED = ("llama", "mistral", "qwen2", "qwen3", "mt5")
PROMPTS = ["3 17 5 30 2", "11 8", "29 4 4 21 9 36 14 1 6"]
STOP_TOKENS = [5, 11, 23]
NEW = 12


@pytest.fixture(scope="module")
def make_pair(save_and_load, word_tokenizer, decoder_sizes):
    """A random model of each family, ours and that of transformers."""

    @functools.cache
    def make(name):
        sizes = OTHERS[name] if name in OTHERS else decoder_sizes | DECODERS[name]
        if name == "qwen2":
            del sizes["head_dim"]
        return save_and_load(name, word_tokenizer, **sizes)

    return make


@pytest.fixture(scope="module")
def tiny(make_pair):
    """A tiny decoder that reads 64 tokens."""
    return make_pair("llama")[0]


def assert_same(ours, theirs, ends, new, tolerance=1e-4):
    """The same tokens, scores and reasons."""
    flat = [each for continuations in ours for each in continuations]
    assert [list(each.tokens) for each in flat] == [tokens for tokens, _ in theirs]
    scores = [[each.score for each in flat], [score for _, score in theirs]]
    np.testing.assert_allclose(*scores, rtol=tolerance, atol=tolerance)
    for each in flat:
        assert each.ended == ("stop" if each.tokens[-1] in ends else "length")
        assert each.ended == "stop" or len(each.tokens) == new


OPTIONS = {
    "greedy": {},
    "beams": {"num_beams": 4, "num_return_sequences": 3},
}
MORE_OPTIONS = {
    "long beams": OPTIONS["beams"] | {"length_penalty": 2.0},
    "short beams": OPTIONS["beams"] | {"length_penalty": -0.5},
    "penalised beams": OPTIONS["beams"] | {"repetition_penalty": 1.3},
    "penalty": {"repetition_penalty": 1.5},
}


@pytest.mark.parametrize("family", [*DECODERS, *OTHERS])
@pytest.mark.parametrize("way", OPTIONS)
def test_continuations_are_those_of_transformers(make_pair, continue_in_torch, family, way):
    pair, options = make_pair(family), {"max_new_tokens": NEW, **OPTIONS[way]}
    ours = generate(pair[0], PROMPTS, stop_tokens=STOP_TOKENS, **options)
    theirs = continue_in_torch(*pair, PROMPTS, STOP_TOKENS, **options)
    assert_same(ours, theirs, STOP_TOKENS, NEW)
    assert ("unembedding" in pair[0].params) == (not pair[0].config.tied) == (family in UNTIED)


@pytest.mark.parametrize("way", MORE_OPTIONS)
def test_penalties_are_those_of_transformers(make_pair, continue_in_torch, way):
    pair, options = make_pair("llama"), {"max_new_tokens": NEW, **MORE_OPTIONS[way]}
    ours = generate(pair[0], PROMPTS, stop_tokens=STOP_TOKENS, **options)
    theirs = continue_in_torch(*pair, PROMPTS, STOP_TOKENS, **options)
    assert_same(ours, theirs, STOP_TOKENS, NEW)


SAMPLED = {
    "temperature": 0.9,
    "top_p": 0.95,
    "max_new_tokens": NEW,
    "num_return_sequences": 2,
    "batch_size": 4,
}


def texts(continuations):
    return [[each.text for each in of_prompt] for of_prompt in continuations]


def test_samples_repeat_and_depend_on_no_other_prompt(tiny):
    """Left padding, the batch and the order of prompts change nothing."""
    whole = texts(generate(tiny, PROMPTS, **SAMPLED))
    assert texts(generate(tiny, PROMPTS, **SAMPLED)) == whole
    assert texts(generate(tiny, PROMPTS[::-1], **SAMPLED)) == whole[::-1]
    longer = [PROMPTS[0], "7 " * 20, "8"]
    assert texts(generate(tiny, longer, **SAMPLED))[0] == whole[0]
    assert texts(generate(tiny, PROMPTS, **SAMPLED, seed=1)) != whole
    assert len({text for of_prompt in whole for text in of_prompt}) == 6


def test_all_64_bits_of_a_seed_count(tiny):
    seeds = (7, 7 + 2**32, 2**64 - 1)
    drawn = [texts(generate(tiny, PROMPTS, **SAMPLED | {"seed": seed})) for seed in seeds]
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]


def test_prompts_may_come_one_by_one(tiny):
    assert generate(tiny, iter(PROMPTS), max_new_tokens=2) == generate(
        tiny, PROMPTS, max_new_tokens=2
    )


def test_the_same_prompt_twice_is_continued_in_other_ways(tiny):
    first, other, second = texts(generate(tiny, [PROMPTS[0], PROMPTS[1], PROMPTS[0]], **SAMPLED))
    assert first != second
    assert texts(generate(tiny, PROMPTS, **SAMPLED))[:2] == [first, other]


def test_token_after_token_gives_the_logits_of_one_pass(make_pair):
    """The log-probabilities of what was chosen, of prompts with and without padding.

    Of the layers of this model one has a sliding window and one has none.
    """
    model = make_pair("gemma3_text")[0]
    generator = np.random.default_rng(0)
    ids = generator.integers(2, 40, (2, 6), dtype=np.int32)
    mask = np.array([[True] * 6, [False] * 4 + [True] * 2])
    keys = jax.random.split(jax.random.key(0), 2)
    nothing = jnp.zeros(0, jnp.int32)
    batch = DecodeBatch(jnp.asarray(ids), jnp.asarray(mask), keys, jnp.zeros(2, bool), nothing)
    reader, sampling = PromptReader.for_model(model), Sampling(temperature=jnp.float32(1.0))
    start = jax.jit(functools.partial(decode_loop.start, reader, 9, 1))
    run = jax.jit(functools.partial(decode_loop.run, reader))
    state = run(model.params, start(model.params, batch, sampling), batch, sampling, jnp.int32(9))
    tokens = np.concatenate([ids, state.tokens], axis=1)
    whole = np.concatenate([mask, np.ones((2, 9), bool)], axis=1)
    logits = jax.jit(model.apply)(model.params, tokens, whole).logits
    log_probs = jax.nn.log_softmax(logits[:, 5:-1])
    expected = np.take_along_axis(np.asarray(log_probs), np.asarray(state.tokens)[..., None], 2)
    np.testing.assert_allclose(state.log_probs, expected[..., 0], rtol=1e-5, atol=1e-5)


def test_few_programs_are_compiled(tiny, compilations):
    generate(tiny, PROMPTS, **SAMPLED)
    with compilations() as compiled:
        generate(tiny, ["9 9", "2", "3 3 3"], **SAMPLED | {"temperature": 0.5, "top_p": 0.5})
        generate(tiny, PROMPTS, **SAMPLED | {"max_new_tokens": 17, "seed": 5})
    assert compiled == []


def test_a_stop_string_ends_a_continuation(tiny):
    [[whole]] = generate(tiny, PROMPTS[:1], max_new_tokens=40)
    words = whole.text.split()
    stop = " ".join(words[19:21])
    first = whole.text.index(stop)
    [[cut]] = generate(tiny, PROMPTS[:1], max_new_tokens=40, stop=[stop])
    assert cut.ended == "stop"
    assert cut.text == whole.text[:first]
    assert cut.tokens == whole.tokens[: len(whole.text[: first + len(stop)].split())]
    assert whole.score < cut.score < 0


def test_all_that_is_wrong_is_said_at_once(tiny):
    options = {"max_new_tokens": 0, "top_k": 3, "stop_tokens": ["absent"], "chat": True}
    with pytest.raises(InputError) as raised:
        generate(tiny, PROMPTS, **options)
    for words in ("max_new_tokens = 0", "top_k", "'absent'", "no chat template"):
        assert words in str(raised.value)


def test_prompts_that_cannot_be_continued_are_named(tiny, tiny_bert):
    words = r"1 has no tokens\n.* 2 has 60 tokens and max_new_tokens is 5, .* 64\. .* at most 4"
    with pytest.raises(InputError, match=words):
        generate(tiny, ["3", "", "7 " * 60], max_new_tokens=5)
    assert generate(tiny, ["7 " * 60], max_new_tokens=4)[0][0].ended == "length"
    refused = {
        "no prompts": [],
        "prompts is a string": "3",
        "prompts is a value of type dict": {"3": "4"},
        "prompt 0 is a text with half a surrogate pair": ["\ud83d"],
    }
    for words, prompts in refused.items():
        with pytest.raises(InputError, match=words):
            generate(tiny, prompts)
    with pytest.raises(InputError, match="is an encoder"):
        generate(tiny_bert, ["3"], max_new_tokens=2)


def test_an_adapter_continues_otherwise(tiny):
    params = jax.tree.map(lambda leaf: leaf, tiny.params)
    size = params["layers"]["attention"]["query"]["kernel"].shape
    params["layers"]["attention"]["query"]["bias"] = jnp.ones((size[0], size[2]))
    base, adapted = (
        generate(tiny, PROMPTS, params=tree, max_new_tokens=NEW) for tree in (None, params)
    )
    assert texts(base) != texts(adapted)


def test_smollm2_continues_as_transformers_has_it(smollm2, smollm2_in_torch, continue_in_torch):
    prompts = ["The capital of France is", "Once upon a time there was a little girl who"]
    ends = [smollm2.tokenizer.eos_token_id]
    for options in ({}, {"num_beams": 2}):
        ours = generate(smollm2, prompts, max_new_tokens=8, **options)
        theirs = continue_in_torch(
            smollm2, smollm2_in_torch, prompts, ends, max_new_tokens=8, **options
        )
        assert_same(ours, theirs, ends, 8, tolerance=1e-3)
