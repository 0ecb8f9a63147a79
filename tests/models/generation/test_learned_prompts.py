"""Generation after what an adaptation puts before the tokens."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import PromptTuning, PTuningV2
from fsl_jax.adapt.parts.soft_prompt import with_word_leaves
from fsl_jax.errors import InputError
from fsl_jax.models.families.registry import module_of
from fsl_jax.models.generation.generate import generate

PROMPTS = ["w20 w21", "w25 w3 w4 w9 w30"]
T5 = {
    "vocab_size": 64,
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 40,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
    "n_positions": 32,
}


@pytest.fixture(scope="module")
def t5(save_and_load, tiny_tokenizer):
    return save_and_load("t5", tiny_tokenizer, **T5)[0]


@pytest.mark.parametrize("family", ["gemma2", "t5"])
@pytest.mark.parametrize("options", [{}, {"num_beams": 2}], ids=["greedy", "beams"])
def test_a_prompt_of_words_is_as_if_they_stood_in_the_text(tiny_bases, t5, family, options):
    base = t5 if family == "t5" else tiny_bases[family]
    table = base.params["embeddings"]["word"]["embedding"]
    prompt = jnp.concatenate([table[jnp.array([40, 41, 42])], jnp.zeros((1, table.shape[1]))])
    leaves = {"prompt": prompt, "prompt_mask": jnp.array([1.0, 1, 1, 0])}
    params = with_word_leaves(base.params, leaves)
    found = generate(base, PROMPTS, params=params, max_new_tokens=5, **options)
    written = [f"w30 w31 w32 {text}" for text in PROMPTS]
    expected = generate(base, written, max_new_tokens=5, **options)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[0].tokens == theirs[0].tokens
        np.testing.assert_allclose(ours[0].score, theirs[0].score, rtol=1e-4)


def test_padding_behind_a_soft_prompt_takes_no_room_in_a_window(tiny_bases):
    llama = tiny_bases["llama"]
    config = dataclasses.replace(llama.config, window=6, sliding=(True, True))
    base = dataclasses.replace(llama, config=config, module=module_of(config))
    table = 2 * base.params["embeddings"]["word"]["embedding"]
    leaves = {"prompt": table[40:43], "prompt_mask": jnp.ones(3)}
    params = with_word_leaves(base.params, leaves)
    [[found]] = generate(base, PROMPTS[:1], params=params, max_new_tokens=6)
    ids = np.array([[30, 31, *found.tokens]], np.int32)
    logits = jax.jit(base.apply)(params, ids, np.ones(ids.shape, bool)).logits[0]
    assert found.tokens == tuple(np.argmax(logits[1:-1], axis=-1).tolist())


def test_every_token_sees_a_learned_prefix(tiny_bases):
    base = tiny_bases["gemma2"]
    params = PTuningV2(4).extend(base.params, jax.random.key(0))
    attention = params["layers"]["attention"]
    for name in ("prefix_key", "prefix_value"):
        attention[name] = 50 * attention[name]
    [[found]] = generate(base, PROMPTS[:1], params=params, max_new_tokens=6)
    [[plain]] = generate(base, PROMPTS[:1], max_new_tokens=6)
    assert found.tokens != plain.tokens
    ids = np.array([[30, 31, *found.tokens]], np.int32)
    logits = jax.jit(base.apply)(params, ids, np.ones(ids.shape, bool)).logits[0]
    assert found.tokens == tuple(np.argmax(logits[1:-1], axis=-1).tolist())
    chosen = jax.nn.log_softmax(logits)[np.arange(1, len(ids[0]) - 1), ids[0, 2:]]
    np.testing.assert_allclose(found.score, chosen.sum(), rtol=1e-4)


def test_a_decoder_that_reads_an_encoder_sees_its_learned_prefix(t5):
    params = PTuningV2(4).extend(t5.params, jax.random.key(0))
    attention = params["decoder"]["layers"]["attention"]
    for name in ("prefix_key", "prefix_value"):
        attention[name] = 50 * attention[name]
    [[found]] = generate(t5, PROMPTS[:1], params=params, max_new_tokens=6)
    [[plain]] = generate(t5, PROMPTS[:1], max_new_tokens=6)
    assert found.tokens != plain.tokens
    ids, written = np.array([[30, 31]], np.int32), np.array([[0, *found.tokens]], np.int32)
    read = jax.jit(t5.apply)
    logits = read(params, ids, np.ones(ids.shape, bool), decoder_input_ids=written).logits[0, :-1]
    assert found.tokens == tuple(np.argmax(logits, axis=-1).tolist())
    chosen = jax.nn.log_softmax(logits)[np.arange(len(written[0]) - 1), written[0, 1:]]
    np.testing.assert_allclose(found.score, chosen.sum(), rtol=1e-4)


def test_a_prompt_takes_from_what_is_read_and_a_decoders_prefix_from_what_is_written(t5):
    prompt = PromptTuning(29).extend(t5.params, jax.random.key(0))
    with pytest.raises(InputError, match="prompt 1 has 5 tokens, and the model reads at most 3"):
        generate(t5, PROMPTS, params=prompt, max_new_tokens=31)
    prefix = PTuningV2(20).extend(t5.params, jax.random.key(0))
    with pytest.raises(InputError, match="is 12, and the model writes at most 11"):
        generate(t5, PROMPTS, params=prefix, max_new_tokens=12)


def test_what_stands_before_takes_from_the_room_there_is(tiny_bases):
    base = tiny_bases["llama"]
    params = PTuningV2(20).extend(base.params, jax.random.key(0))
    with pytest.raises(InputError, match="longest sequence, which is 12"):
        generate(base, PROMPTS, params=params, max_new_tokens=10)
