"""Embeddings and layers in one or two sections, with a soft prompt or a learned prefix before."""

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.adapt.parts.soft_prompt import with_word_leaves
from fsl_jax.models.blocks.layers import Dropout
from fsl_jax.models.blocks.sections import cut_sections


def hidden(model, params, tokens, **options):
    run = jax.jit(
        lambda params, *tokens: model.module.apply({"params": params}, *tokens, **options)
    )
    return np.asarray(run(params, *map(jnp.asarray, tokens)).hidden)


def test_two_sections_give_what_one_gives_with_dropout_too(tiny, tokens):
    cut = cut_sections(tiny.params, 2)
    dropout = Dropout(0.5, jax.random.key(1))
    for options in ({}, {"dropout": dropout}):
        whole = hidden(tiny, tiny.params, tokens, **options)
        np.testing.assert_allclose(hidden(tiny, cut, tokens, **options), whole, atol=1e-5)
    assert np.abs(whole - hidden(tiny, tiny.params, tokens)).max() > 0.1


def test_layers_after_the_trunk_give_what_all_give(tiny, tokens):
    cut = cut_sections(tiny.params, 2)
    ids, mask = map(jnp.asarray, tokens)
    trunk = tiny.module.apply({"params": cut}, ids, mask, method="trunk")
    above = tiny.module.apply({"params": cut}, ids, mask, trunk=trunk)
    np.testing.assert_allclose(above.hidden, hidden(tiny, cut, tokens), atol=1e-5)


def test_a_soft_prompt_is_read_and_its_own_states_are_left_out(tiny_llama, tokens):
    words = tiny_llama.params["embeddings"]["word"]["embedding"][jnp.array([7, 9])]
    prompt = {"prompt": words, "prompt_mask": jnp.ones(2)}
    params = with_word_leaves(tiny_llama.params, prompt)
    ids, mask = tokens
    found = hidden(tiny_llama, params, tokens)
    longer = np.concatenate([np.tile(np.int32([7, 9]), (3, 1)), ids], axis=1)
    seen = np.concatenate([np.ones((3, 2), bool), mask], axis=1)
    expected = hidden(tiny_llama, tiny_llama.params, (longer, seen))[:, 2:]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found[mask], expected[mask], atol=1e-5)


def test_real_vectors_of_a_learned_prefix_are_counted(tiny_llama):
    module, params = tiny_llama.module, tiny_llama.params
    assert module.apply({"params": params}, method="prefix_count") is None
    attention = params["layers"]["attention"] | {"prefix_mask": jnp.array([[1.0, 1, 0]] * 3)}
    params = params | {"layers": params["layers"] | {"attention": attention}}
    assert int(module.apply({"params": params}, method="prefix_count")) == 2
