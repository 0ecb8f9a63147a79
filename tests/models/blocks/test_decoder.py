"""The output of a decoder: logits by the tied or the own output embedding, keys and values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.blocks.sections import cut_sections


def apply(model, params, tokens, **options):
    run = jax.jit(
        lambda params, *tokens: model.module.apply({"params": params}, *tokens, **options)
    )
    return run(params, *map(jnp.asarray, tokens))


@pytest.mark.parametrize("name", ["llama", "llama-untied"])
def test_logits_are_products_of_the_hidden_states(tiny_models, tokens, name):
    model = tiny_models[name]
    output = apply(model, model.params, tokens)
    kernel = (
        model.params["embeddings"]["word"]["embedding"].T
        if model.config.tied
        else model.params["unembedding"]["kernel"]
    )
    np.testing.assert_allclose(output.logits, output.hidden @ kernel, rtol=1e-4, atol=1e-4)
    some = jnp.array([3, 1])
    logits = model.module.apply({"params": model.params}, output.hidden, some, method="unembed")
    np.testing.assert_allclose(logits, output.logits[..., some], rtol=1e-4, atol=1e-4)


def test_logits_can_be_left_out(tiny_llama, tokens):
    output = apply(tiny_llama, tiny_llama.params, tokens, unembed=False)
    assert output.logits is None
    whole = apply(tiny_llama, tiny_llama.params, tokens)
    np.testing.assert_array_equal(output.hidden, whole.hidden)


def test_keys_and_values_are_those_of_all_layers_in_one_section_or_two(tiny_llama, tokens):
    whole = apply(tiny_llama, tiny_llama.params, tokens).key_values
    assert whole.keys.shape == whole.values.shape == (3, 3, 7, 2, 8)
    np.testing.assert_array_equal(whole.mask, tokens[1])
    cut = apply(tiny_llama, cut_sections(tiny_llama.params, 1), tokens).key_values
    np.testing.assert_allclose(cut.keys, whole.keys, atol=1e-5)
    np.testing.assert_allclose(cut.values, whole.values, atol=1e-5)
