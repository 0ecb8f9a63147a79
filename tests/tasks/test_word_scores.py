"""Label words are scored in one pass as in a full pass for each word."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fsl_jax
from fsl_jax.adapt.methods.top_layers import TopLayers
from fsl_jax.tasks.label_words import LabelWords
from fsl_jax.tasks.word_scores import score_words, words_trunk

WORDS = {
    "one token": ([[4], [5], [6]], [0, 1, 2]),
    "several tokens": ([[7, 4], [7, 5], [7, 5, 9, 6]], [0, 1, 2]),
    "several words": ([[7, 4], [4], [5], [8, 7, 6], [8], [6]], [0, 0, 1, 2, 2, 2]),
}


def arrays(prompts, length):
    """Prompts as padded arrays."""
    mask = np.arange(length)[None] < np.array([len(ids) for ids in prompts])[:, None]
    ids = np.zeros(mask.shape, np.int32)
    ids[mask] = np.concatenate(prompts)
    return jnp.asarray(ids), jnp.asarray(mask)


@functools.partial(jax.jit, static_argnums=0)
def full_logits(pretrained, params, ids, mask):
    return pretrained.apply(params, ids, mask).logits


def plain_scores(pretrained, prompts, words, owner, length):
    """The log-probability of each class: a full pass for each prompt and word, nothing shared."""
    whole = [[*prompt, *word] for prompt in prompts for word in words]
    logits = np.asarray(full_logits(pretrained, pretrained.params, *arrays(whole, length)))
    logits = logits.astype(np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    of_words = np.array(
        [
            sum(rows[len(ids) - len(word) - 1 + place, token] for place, token in enumerate(word))
            for rows, ids, word in zip(
                log_probabilities, whole, list(words) * len(prompts), strict=True
            )
        ]
    ).reshape(len(prompts), len(words))
    classes = range(max(owner) + 1)
    return np.stack(
        [np.log(np.exp(of_words[:, np.array(owner) == each]).sum(axis=1)) for each in classes], 1
    )


def assert_same_up_to_a_constant(scores, expected, **tolerance):
    centred = [each - np.mean(each, axis=1, keepdims=True) for each in (scores, expected)]
    np.testing.assert_allclose(*centred, **tolerance)
    assert np.abs(centred[1]).max() > 0.1


@functools.partial(jax.jit, static_argnums=(0, 2))
def jitted_scores(pretrained, params, words, ids, mask, prefix=None):
    return score_words(pretrained, params, words, ids, mask, prefix=prefix)


def prompts_of(*lengths, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(10, 64, length).tolist() for length in lengths]


@pytest.mark.parametrize("kind", WORDS)
def test_scores_are_those_of_a_full_pass_for_each_word(tiny_bases, kind):
    tokens, owner = WORDS[kind]
    prompts = prompts_of(16, 9, 1, 3)
    scores = jitted_scores(
        tiny_bases["llama"],
        tiny_bases["llama"].params,
        LabelWords.from_tokens(tokens, owner),
        *arrays(prompts, 16),
    )
    expected = plain_scores(tiny_bases["llama"], prompts, tokens, owner, 24)
    assert_same_up_to_a_constant(np.asarray(scores), expected, atol=2e-5)


@pytest.mark.parametrize("kind", WORDS)
def test_an_encoder_decoder_writes_the_words(tiny_bases, kind):
    t5, (tokens, owner) = tiny_bases["t5"], WORDS[kind]
    prompts = prompts_of(16, 9, 1, 3)
    ids, mask = arrays(prompts, 16)
    words = LabelWords.from_tokens(tokens, owner)
    scores = jitted_scores(t5, t5.params, words, ids, mask)
    start = t5.config.decoder_start_token
    of_words = []
    for word in tokens:
        read = np.tile(np.array([start, *word[:-1]], np.int32), (len(prompts), 1))
        logits = t5.apply(t5.params, ids, mask, decoder_input_ids=read).logits
        places = jax.nn.log_softmax(logits)[:, np.arange(len(word)), np.array(word)]
        of_words.append(np.exp(np.asarray(places).sum(axis=1)))
    classes = [
        sum(each for each, owned in zip(of_words, owner, strict=True) if owned == number)
        for number in range(max(owner) + 1)
    ]
    assert_same_up_to_a_constant(np.asarray(scores), np.log(np.stack(classes, 1)), atol=2e-5)


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("rows", ["shared", "own"])
def test_scores_after_a_prefix_are_those_of_the_whole(tiny_bases, kind, rows):
    tokens, owner = WORDS[kind]
    llama = tiny_bases["llama"]
    before = prompts_of(6, 4, 1, seed=1)
    before = before[:1] * 3 if rows == "shared" else before
    own = prompts_of(5, 2, 8, seed=2)
    read = jax.jit(lambda params, ids, mask: llama.apply(params, ids, mask).key_values)
    prefix = read(llama.params, *arrays(before[:1] if rows == "shared" else before, 8))
    words = LabelWords.from_tokens(tokens, owner)
    scores = jitted_scores(llama, llama.params, words, *arrays(own, 8), prefix)
    prompts = [[*first, *second] for first, second in zip(before, own, strict=True)]
    expected = plain_scores(llama, prompts, tokens, owner, 24)
    assert_same_up_to_a_constant(np.asarray(scores), expected, atol=2e-5)


def test_padding_makes_no_difference(tiny_bases):
    tokens, owner = WORDS["several words"]
    words = LabelWords.from_tokens(tokens, owner)
    llama = tiny_bases["llama"]
    prompts = prompts_of(7, 2)
    scores = [
        jitted_scores(llama, llama.params, words, *arrays(prompts, length)) for length in (7, 16)
    ]
    np.testing.assert_allclose(*scores, atol=1e-5)


def test_activations_of_the_trunk_can_be_kept(tiny_bases):
    words = LabelWords.from_tokens(*WORDS["several words"])
    llama = tiny_bases["llama"]
    params = TopLayers(1).extend(llama.params, jax.random.key(0))
    ids, mask = arrays(prompts_of(7, 2), 8)

    @jax.jit
    def both(params):
        kept = words_trunk(llama, params, words, ids, mask)
        from_kept = score_words(llama, params, words, ids, mask, trunk=kept)
        return from_kept, score_words(llama, params, words, ids, mask)

    np.testing.assert_allclose(*both(params), atol=1e-5)


def test_gradients_are_finite_though_classes_have_unlike_numbers_of_words(tiny_bases):
    words = LabelWords.from_tokens(*WORDS["several words"])
    llama = tiny_bases["llama"]
    ids, mask = arrays(prompts_of(5, 2), 8)

    @jax.jit
    def gradients(params):
        return jax.grad(lambda params: score_words(llama, params, words, ids, mask)[:, 0].sum())(
            params
        )

    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(gradients(llama.params))]
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert any(leaf.any() for leaf in leaves)


def test_scores_of_smollm2_are_those_of_a_full_pass_for_each_word():
    smollm2 = fsl_jax.load("smollm2-135m")
    texts = ["Headline: Striker signs for Arsenal\nCategory:", "A new phone is here. Topic:"]
    words = [" sports", " consumer electronics", " the stock market"]
    prompts = [smollm2.tokenizer(text)["input_ids"] for text in texts]
    tokens = [smollm2.tokenizer(word)["input_ids"] for word in words]
    assert [len(ids) for ids in tokens] == [1, 2, 3]
    laid = LabelWords.from_tokens(tokens, [0, 1, 2])
    scores = jitted_scores(smollm2, smollm2.params, laid, *arrays(prompts, 16))
    expected = plain_scores(smollm2, prompts, tokens, [0, 1, 2], 16)
    assert_same_up_to_a_constant(np.asarray(scores), expected, atol=1e-3)
