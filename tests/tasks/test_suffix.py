"""A text before a suffix gives the same numbers read first, cached, or read together with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import PromptTuning
from fsl_jax.errors import InputError
from fsl_jax.models import append_suffix
from fsl_jax.operations import product_operations
from fsl_jax.tasks.suffix import model_inputs, text_states
from fsl_jax.tasks.word_scores import score_words

BATCH = {
    "input_ids": jnp.arange(10, dtype=jnp.int32).reshape(2, 5),
    "attention_mask": jnp.array([[True] * 5, [True, True, True, False, False]]),
}


@pytest.fixture
def suffixed():
    """Parameters with a suffix of two vectors and one that is padding."""

    def extend(pretrained):
        params = PromptTuning(3, position="suffix").extend(pretrained.params, jax.random.key(0))
        word = params["embeddings"]["word"] | {"suffix_mask": jnp.array([1.0, 1.0, 0.0])}
        return params | {"embeddings": params["embeddings"] | {"word": word}}

    return extend


@pytest.mark.parametrize("name", ["llama-template", "llama-words", "gemma2-template"])
def test_label_words_follow_the_suffix(tiny_formulations, suffixed, name):
    formulation = tiny_formulations[name]
    base = formulation.pretrained
    params = suffixed(base)

    @jax.jit
    def together(params):
        whole = append_suffix(params, BATCH["input_ids"], BATCH["attention_mask"])
        return score_words(base, params, formulation.words, *whole)

    logits = jax.jit(formulation.logits)
    expected = together(params)
    kept = BATCH | jax.jit(lambda params: text_states(base, params, BATCH))(params)
    np.testing.assert_allclose(logits(params, BATCH), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(logits(params, kept), expected, rtol=1e-5, atol=1e-5)
    assert np.abs(logits(base.params, BATCH) - expected).max() > 1e-3


def test_runs_that_differ_in_the_suffix_read_a_text_once(tiny_formulations, suffixed):
    formulation = tiny_formulations["llama-template"]
    base = formulation.pretrained
    word = suffixed(base)["embeddings"]["word"]
    kept = jax.eval_shape(lambda: text_states(base, base.params, BATCH))

    def operations(runs, batch):
        def logits(suffixes, batch):
            def of_run(suffix):
                embeddings = base.params["embeddings"] | {"word": word | {"suffix": suffix}}
                return formulation.logits(base.params | {"embeddings": embeddings}, batch)

            return jax.vmap(of_run)(suffixes)

        return product_operations(logits, jnp.zeros((runs, *word["suffix"].shape)), batch)

    once, text = operations(1, BATCH | kept), operations(1, BATCH) - operations(1, BATCH | kept)
    assert text > once / 2
    assert operations(4, BATCH) == text + 4 * once


def test_a_head_reads_the_last_vector(tiny_formulations, suffixed):
    formulation = tiny_formulations["llama-head"]
    base = formulation.pretrained
    params = suffixed(base)
    read = jax.jit(lambda params, *text: base.apply(params, *text, unembed=False).hidden)
    whole = append_suffix(params, BATCH["input_ids"], BATCH["attention_mask"])
    expected = read(params, *whole)[:, 6]
    found = jax.jit(formulation.representation)(params, BATCH)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_demonstrations_stand_before_text_and_suffix(tiny_formulations, suffixed):
    formulation = tiny_formulations["llama-words"]
    base = formulation.pretrained
    params = suffixed(base)
    demonstration = jnp.array([[11, 12, 13]], jnp.int32)
    states = jax.jit(lambda: base.apply(params, demonstration, jnp.ones((1, 3), bool)).key_values)()
    found = jax.jit(formulation.logits)(params, BATCH, prefix=states)
    joined = {
        "input_ids": jnp.concatenate([jnp.tile(demonstration, (2, 1)), BATCH["input_ids"]], 1),
        "attention_mask": jnp.concatenate([jnp.ones((2, 3), bool), BATCH["attention_mask"]], 1),
    }
    expected = jax.jit(formulation.logits)(params, joined)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_without_a_suffix_nothing_is_read(tiny_formulations):
    base = tiny_formulations["bert-head"].pretrained
    inputs = model_inputs(base, base.params, BATCH)
    assert inputs.input_ids is BATCH["input_ids"]
    assert inputs.prefix is None


def test_an_encoder_is_refused(tiny_formulations, suffixed):
    formulation = tiny_formulations["bert-head"]
    params = suffixed(formulation.pretrained)
    with pytest.raises(InputError, match=r"with an encoder \(bert\).*before them"):
        formulation.representation(params, BATCH)
    with pytest.raises(InputError, match=r"with an encoder \(bert\)"):
        text_states(formulation.pretrained, params, BATCH)
