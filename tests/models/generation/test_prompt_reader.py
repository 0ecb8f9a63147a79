"""The lengths and windows that a reader works with; `test_generate.py` compares what it reads."""

import dataclasses

import jax.numpy as jnp
import pytest

from fsl_jax.adapt.parts.soft_prompt import with_word_leaves
from fsl_jax.models.generation.prompt_reader import PromptReader


@pytest.fixture
def prompted(tiny_llama):
    """Parameters with a soft prompt of two vectors and a suffix of three."""
    width = tiny_llama.config.hidden_size
    leaves = {"prompt": jnp.zeros((2, width)), "prompt_mask": jnp.ones(2)}
    leaves |= {"suffix": jnp.zeros((3, width)), "suffix_mask": jnp.ones(3)}
    return with_word_leaves(tiny_llama.params, leaves)


def test_readers_of_equal_modules_are_equal(tiny_models):
    reader = PromptReader.for_model(tiny_models["llama"])
    assert reader == PromptReader.for_model(dataclasses.replace(tiny_models["llama"], name="other"))
    assert reader != PromptReader.for_model(tiny_models["llama-untied"])
    assert reader.pretrained.params == {}


def test_what_a_method_adds_takes_positions_and_columns(tiny_llama, prompted):
    ids = jnp.zeros((1, 4), jnp.int32)
    reader = PromptReader.for_model(tiny_llama)
    assert (reader.max_length, reader.max_decoder_length) == (24, 24)
    assert reader.decoder_length(tiny_llama.params, ids) == 4
    reader = PromptReader.for_model(tiny_llama, prompted)
    assert (reader.max_length, reader.max_decoder_length) == (19, 24)
    assert reader.decoder_length(prompted, ids) == 9


@pytest.mark.parametrize(("sliding", "window"), [((True,) * 3, 5), ((True, False, True), None)])
def test_a_cache_is_a_ring_if_all_layers_have_a_window(tiny_llama, prompted, sliding, window):
    config = dataclasses.replace(tiny_llama.config, window=5, sliding=sliding)
    reader = PromptReader.for_model(dataclasses.replace(tiny_llama, config=config))
    assert reader.window == window
    assert reader.cache_window(tiny_llama.params) == window
    assert reader.cache_window(prompted) is None


def test_a_checkpoint_with_a_layer_that_sees_all_has_no_ring(
    save_and_load, word_tokenizer, decoder_sizes
):
    kinds = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 5}
    sizes = decoder_sizes | kinds | {"query_pre_attn_scalar": 8}
    reader = PromptReader.for_model(save_and_load("gemma2", word_tokenizer, **sizes)[0])
    assert reader.window is None
