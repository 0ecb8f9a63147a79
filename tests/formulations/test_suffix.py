"""A text before a suffix gives the same numbers read first, cached, or read together with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import PromptTuning
from fsl_jax.errors import InputError
from fsl_jax.formulations.suffix import text_states
from fsl_jax.models import append_suffix
from fsl_jax.operations import product_operations


@pytest.fixture
def suffixed():
    """Parameters with a suffix of two vectors and one that is padding, perhaps after a prompt."""

    def extend(params, prompt=0):
        params = PromptTuning(3, position="suffix").extend(params, jax.random.key(0))
        added = {"suffix_mask": jnp.array([1.0, 1.0, 0.0])}
        if prompt:
            params = PromptTuning(prompt).extend(params, jax.random.key(1))
            added["prompt_mask"] = jnp.arange(prompt, dtype=jnp.float32)
        word = params["embeddings"]["word"] | added
        return params | {"embeddings": params["embeddings"] | {"word": word}}

    return extend


def together(formulation, words):
    """Return a function that computes logits with texts, suffix and words in rows of their own."""
    base, order = formulation.pretrained, formulation.words.class_index

    def of_word(params, word, ids, mask):
        whole = append_suffix(params, ids, mask)
        after = jnp.tile(jnp.array([word[:-1]], jnp.int32), (len(ids), 1))
        read = [
            jnp.concatenate(pair, axis=1) for pair in zip(whole, (after, after > 0), strict=True)
        ]
        each = jax.nn.log_softmax(base.apply(params, *read).logits)
        # The last vector of the suffix is padding.
        places = [ids.shape[1] + 1, *range(ids.shape[1] + 3, read[0].shape[1])]
        return sum(each[:, place, token] for place, token in zip(places, word, strict=True))

    def logits(params, ids, mask):
        scores = jnp.stack([of_word(params, word, ids, mask) for word in words], axis=1)
        classes = [jax.nn.logsumexp(scores[:, order == each], axis=1) for each in range(3)]
        return jnp.stack(classes, axis=1)

    return logits


def words_of(formulation):
    """Return the tokens of each label word."""
    verbalizer, prompt = formulation.verbalizer, formulation.template.render({"text": "text"})
    return verbalizer.tokens(formulation.pretrained.tokenizer, prompt)


@pytest.mark.parametrize(
    ("name", "prompt"), [("llama-template", 0), ("llama-words", 3), ("gemma2-template", 3)]
)
def test_label_words_follow_the_suffix(
    tiny_formulations, suffixed, assert_same, name, prompt, texts
):
    formulation = tiny_formulations[name]
    params = suffixed(formulation.pretrained.params, prompt)
    assert_same(formulation, params, texts, together(formulation, words_of(formulation)))


@pytest.mark.parametrize("name", ["llama-head", "llama-words", "gemma2-template"])
def test_keys_and_values_of_texts_can_be_kept(tiny_formulations, suffixed, packed, name, texts):
    formulation = tiny_formulations[name]
    base = formulation.pretrained
    params = suffixed(formulation.prepare(base.params, jax.random.key(0)))
    batch = packed(formulation.segments(params, texts))

    @jax.jit
    def compute(params):
        kept = batch.replace(cached=text_states(base, base.params, batch))
        return [formulation.outputs(params, each) for each in (kept, batch)]

    from_kept, logits = compute(params)
    np.testing.assert_allclose(from_kept, logits, rtol=1e-5, atol=1e-5)
    assert np.abs(logits).max() > 1e-2


def test_runs_that_differ_in_the_suffix_read_a_text_once(
    tiny_formulations, suffixed, packed, texts
):
    formulation = tiny_formulations["llama-template"]
    base = formulation.pretrained
    word = suffixed(base.params)["embeddings"]["word"]
    batch = packed(formulation.segments(suffixed(base.params), texts))
    kept = batch.replace(cached=jax.eval_shape(lambda: text_states(base, base.params, batch)))

    def operations(runs, batch):
        def logits(suffixes, batch):
            def of_run(suffix):
                embeddings = base.params["embeddings"] | {"word": word | {"suffix": suffix}}
                return formulation.outputs(base.params | {"embeddings": embeddings}, batch)

            return jax.vmap(of_run)(suffixes)

        return product_operations(logits, jnp.zeros((runs, *word["suffix"].shape)), batch)

    once, text = operations(1, kept), operations(1, batch) - operations(1, kept)
    assert text > once / 2
    assert operations(4, batch) == text + 4 * once


def test_a_head_reads_the_last_vector(tiny_formulations, suffixed, assert_same, texts):
    formulation = tiny_formulations["llama-head"]
    base = formulation.pretrained
    params = suffixed(formulation.prepare(base.params, jax.random.key(0)))

    def logits(params, ids, mask):
        whole = append_suffix(params, ids, mask)
        hidden = base.apply(params, *whole, unembed=False).hidden[:, ids.shape[1] + 1]
        return hidden @ params["head"]["kernel"] + params["head"]["bias"][None]

    assert_same(formulation, params, texts, logits)


@pytest.mark.parametrize("name", ["llama-head", "llama-words"])
def test_a_suffix_of_padding_is_none(tiny_formulations, suffixed, packed, name, texts):
    formulation = tiny_formulations[name]
    base = formulation.prepare(formulation.pretrained.params, jax.random.key(0))
    params = suffixed(base)
    params["embeddings"]["word"]["suffix_mask"] = jnp.zeros(3)
    logits = jax.jit(formulation.outputs)
    found = logits(params, packed(formulation.segments(params, texts)))
    expected = logits(base, packed(formulation.segments(base, texts)))
    np.testing.assert_allclose(found[:-1], expected[:-1], rtol=1e-5, atol=1e-5)


def test_demonstrations_stand_before_text_and_suffix(tiny_formulations, suffixed, packed, texts):
    formulation = tiny_formulations["llama-words"]
    base = formulation.pretrained
    params = suffixed(base.params, prompt=2)
    shown = jnp.array([[11, 12, 13]], jnp.int32)
    states = jax.jit(lambda: base.apply(params, shown, jnp.ones((1, 3), bool)).key_values)()
    logits = jax.jit(formulation.outputs)
    batch = packed(formulation.segments(params, texts, after_prefix=True))
    found = logits(params, batch, prefix=states)
    joined = [[11, 12, 13, *ids] for ids in texts]
    expected = logits(params, packed(formulation.segments(params, joined)))
    np.testing.assert_allclose(found[:-1], expected[:-1], rtol=1e-5, atol=1e-5)


def test_an_encoder_is_refused(tiny_formulations, suffixed, packed, texts):
    formulation = tiny_formulations["bert-head"]
    params, batch = suffixed(formulation.pretrained.params), packed(texts)
    with pytest.raises(InputError, match=r"with an encoder \(bert\).*before them"):
        formulation.representation(params, batch)
    with pytest.raises(InputError, match=r"with an encoder \(bert\)"):
        text_states(formulation.pretrained, params, batch)
