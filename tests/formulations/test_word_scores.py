"""Label words are scored in one pass over packed prompts as in a full pass for each word."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fsl_jax
from fsl_jax.adapt.methods.top_layers import TopLayers
from fsl_jax.formulations import packed_batch
from fsl_jax.formulations.label_words import LabelWords
from fsl_jax.formulations.word_scores import score_words, words_trunk
from fsl_jax.models.blocks.prompt_tokens import prompt_token_ids

WORDS = {
    "one token": ([[4], [5], [6]], [0, 1, 2]),
    "several words": ([[7, 4], [4], [5], [8, 7, 6], [8], [6]], [0, 0, 1, 2, 2, 2]),
}


def plain_scores(pretrained, tokens, owner):
    """Return a function that computes the log-probability of each class, nothing shared.

    Each prompt is read with each word, in a row of its own.
    """
    word_lengths = np.array([len(word) for word in tokens])
    longest = word_lengths.max()
    words = np.zeros((len(tokens), longest), np.int32)
    for row, word in zip(words, tokens, strict=True):
        row[: len(word)] = word

    def logits_of_words(params, ids, lengths, after):
        if pretrained.config.is_encoder_decoder:
            start = jnp.full((len(ids), 1), pretrained.config.decoder_start_token, jnp.int32)
            read = jnp.concatenate([start, after[:, :-1]], axis=1)
            mask = jnp.arange(ids.shape[1])[None] < lengths[:, None]
            return pretrained.apply(params, ids, mask, decoder_input_ids=read).logits
        number = jnp.arange(ids.shape[1] + longest)[None] - lengths[:, None]
        chosen = jnp.take_along_axis(after, jnp.clip(number, 0, longest - 1), axis=1)
        whole = jnp.where(number < 0, jnp.pad(ids, ((0, 0), (0, longest))), chosen)
        logits = pretrained.apply(params, whole, number < longest).logits
        places = lengths[:, None] - 1 + jnp.arange(longest)[None]
        return jnp.take_along_axis(logits, places[..., None], axis=1)

    def scores(params, ids, mask):
        rows = [jnp.repeat(each, len(tokens), axis=0) for each in (ids, jnp.sum(mask, axis=1))]
        after = jnp.tile(words, (len(ids), 1))
        each = jax.nn.log_softmax(logits_of_words(params, *rows, after))
        each = jnp.take_along_axis(each, after[..., None], axis=2)[..., 0]
        counts = jnp.arange(longest)[None] < jnp.tile(word_lengths, len(ids))[:, None]
        of_words = jnp.sum(jnp.where(counts, each, 0), axis=1).reshape(len(ids), -1)
        classes = [
            jax.nn.logsumexp(of_words[:, np.array(owner) == number], axis=1)
            for number in range(max(owner) + 1)
        ]
        return jnp.stack(classes, axis=1)

    return scores


class Scoring:
    """What `assert_same` reads of a formulation, with words that are tokens."""

    labels = ("east", "north", "west")

    def __init__(self, pretrained, words):
        self.pretrained, self.words = pretrained, words

    def outputs(self, params, batch):
        return score_words(self.pretrained, params, self.words, batch)


def followed_by(words, prompts):
    return [[*ids, *words.inputs.tolist()] for ids in prompts]


@pytest.mark.parametrize(
    ("family", "kind"),
    [("llama", "one token"), ("llama", "several words"), ("t5", "several words")],
)
def test_packed_prompts_have_the_numbers_of_a_full_pass_for_each_word(
    tiny_bases, adapted, texts, packed, assert_same, family, kind
):
    base, words = tiny_bases[family], LabelWords.from_tokens(*WORDS[kind])
    params = adapted(base, "prompt_tuning(2)")
    before = prompt_token_ids(params).tolist()
    segments = texts if family == "t5" else followed_by(words, texts)
    batch = packed([[*before, *ids] for ids in segments])
    assert_same(Scoring(base, words), params, texts, plain_scores(base, *WORDS[kind]), batch)


@functools.partial(jax.jit, static_argnums=(0, 2))
def jitted_scores(pretrained, params, words, batch, prefix=None):
    return score_words(pretrained, params, words, batch, prefix=prefix)


def assert_same_up_to_a_constant(scores, expected, **tolerance):
    centred = [each - np.mean(each, axis=1, keepdims=True) for each in (scores, expected)]
    np.testing.assert_allclose(*centred, **tolerance)
    assert np.abs(centred[1]).max() > 0.1


@pytest.mark.parametrize("kind", WORDS)
def test_every_prompt_sees_the_whole_prefix(tiny_bases, adapted, texts, padded, packed, kind):
    """The keys and values of the prefix include those of a soft prompt."""
    llama, words = tiny_bases["llama"], LabelWords.from_tokens(*WORDS[kind])
    params, before = adapted(llama, "prompt_tuning(2)"), [11, 12, 13, 14, 15, 16]
    read = jax.jit(lambda params, ids, mask: llama.apply(params, ids, mask).key_values)
    prefix = read(params, *padded([before], 8))
    batch = packed(followed_by(words, texts))
    scores = jitted_scores(llama, params, words, batch, prefix)
    whole = padded([[*before, *ids] for ids in texts], 16)
    expected = jax.jit(plain_scores(llama, *WORDS[kind]))(params, *whole)
    assert_same_up_to_a_constant(scores[:-1], expected, atol=2e-5)


def test_activations_of_the_trunk_can_be_kept(tiny_bases, texts, packed):
    words = LabelWords.from_tokens(*WORDS["several words"])
    llama = tiny_bases["llama"]
    params = TopLayers(1).extend(llama.params, jax.random.key(0))
    batch = packed(followed_by(words, texts))

    @jax.jit
    def both(params):
        kept = batch.replace(cached={"trunk": words_trunk(llama, params, words, batch)})
        return [score_words(llama, params, words, each) for each in (kept, batch)]

    np.testing.assert_allclose(*both(params), atol=1e-5)


def test_scores_of_smollm2_are_those_of_a_full_pass_for_each_word(padded):
    smollm2 = fsl_jax.load("smollm2-135m")
    texts = ["Headline: Striker signs for Arsenal\nCategory:", "A new phone is here. Topic:"]
    words = [" sports", " consumer electronics", " the stock market"]
    prompts = [smollm2.tokenizer(text)["input_ids"] for text in texts]
    tokens = [smollm2.tokenizer(word)["input_ids"] for word in words]
    assert [len(ids) for ids in tokens] == [1, 2, 3]
    laid = LabelWords.from_tokens(tokens, [0, 1, 2])
    batch = packed_batch(followed_by(laid, prompts), length=40)
    scores = jitted_scores(smollm2, smollm2.params, laid, batch)
    expected = jax.jit(plain_scores(smollm2, tokens, [0, 1, 2]))(
        smollm2.params, *padded(prompts, 16)
    )
    assert_same_up_to_a_constant(scores, expected, atol=1e-3)
