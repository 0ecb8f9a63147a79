"""Each step on the logits against that of transformers, on random logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers.generation import logits_process as theirs

from fsl_jax.models.generation.sampling import (
    Sampling,
    choose,
    draw_several,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    likeliest,
    mark_seen,
    penalise,
    process,
    seen_in,
)

ROWS, VOCABULARY = 16, 200


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(size=(ROWS, VOCABULARY), scale=3).astype(np.float32)


@pytest.fixture
def prompt():
    return np.random.default_rng(1).integers(VOCABULARY, size=(ROWS, 30), dtype=np.int32)


def reference(step, logits, ids=None):
    return step(None if ids is None else torch.tensor(ids).long(), torch.tensor(logits)).numpy()


def assert_same(found, expected):
    """The same tokens remain, with the same logits."""
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_likeliest_is_the_first_of_the_largest():
    rows = jnp.array([[1.0, 3.0, 3.0], [-jnp.inf, -2.0, -5.0], [jnp.nan] * 3])
    np.testing.assert_array_equal(likeliest(rows), [1, 1, 2])


@pytest.mark.parametrize("top_k", [1, 7, 1000])
def test_top_k(logits, top_k):
    expected = reference(theirs.TopKLogitsWarper(top_k), logits)
    assert_same(keep_top_k(jnp.asarray(logits), top_k), expected)


@pytest.mark.parametrize("top_p", [1e-6, 0.3, 0.9, 0.999])
def test_top_p(logits, top_p):
    expected = reference(theirs.TopPLogitsWarper(top_p), logits)
    assert_same(keep_top_p(jnp.asarray(logits), jnp.float32(top_p)), expected)


@pytest.mark.parametrize("min_p", [0.0, 0.05, 0.5, 1.0])
def test_min_p(logits, min_p):
    expected = reference(theirs.MinPLogitsWarper(min_p), logits)
    assert_same(keep_min_p(jnp.asarray(logits), jnp.float32(min_p)), expected)


def test_so_many_tokens_remain_at_least(logits):
    """As where transformers searches by beams, of which each needs tokens to go on with."""
    steps = [
        (theirs.TopKLogitsWarper(1, min_tokens_to_keep=4), {"top_k": 1}),
        (theirs.TopPLogitsWarper(0.2, min_tokens_to_keep=4), {"top_p": jnp.float32(0.2)}),
        (theirs.MinPLogitsWarper(0.9, min_tokens_to_keep=4), {"min_p": jnp.float32(0.9)}),
    ]
    for step, sampling in steps:
        expected = reference(step, logits)
        assert np.isfinite(expected).sum(axis=1).min() == 4
        assert_same(process(jnp.asarray(logits), None, Sampling(**sampling), 4), expected)


@pytest.mark.parametrize("penalty", [0.7, 1.3])
def test_repetition_penalty_passes_over_padding(logits, prompt, penalty):
    mask = np.arange(30)[None, :] >= np.arange(ROWS)[:, None]
    padded = np.where(mask, prompt, 0).astype(np.int32)
    step = theirs.RepetitionPenaltyLogitsProcessor(penalty, prompt_ignore_length=torch.arange(ROWS))
    seen = seen_in(jnp.asarray(padded), jnp.asarray(mask), VOCABULARY)
    found = penalise(jnp.asarray(logits), seen, jnp.float32(penalty))
    assert_same(found, reference(step, logits, padded))


def test_steps_come_in_the_order_of_transformers(logits, prompt):
    steps = [
        theirs.RepetitionPenaltyLogitsProcessor(1.4),
        theirs.TemperatureLogitsWarper(0.6),
        theirs.TopKLogitsWarper(40),
        theirs.TopPLogitsWarper(0.8),
        theirs.MinPLogitsWarper(0.1),
    ]
    expected = logits
    for step in steps:
        expected = reference(step, expected, prompt)
    numbers = {"temperature": 0.6, "top_p": 0.8, "min_p": 0.1, "repetition_penalty": 1.4}
    sampling = Sampling(top_k=40, **{name: jnp.float32(value) for name, value in numbers.items()})
    seen = seen_in(jnp.asarray(prompt), jnp.ones(prompt.shape, bool), VOCABULARY)
    assert_same(process(jnp.asarray(logits), seen, sampling), expected)


def test_tokens_are_drawn_as_often_as_they_are_probable(logits):
    draws = 20_000
    sampling = Sampling(temperature=jnp.float32(1.5), top_k=5)
    rows = jnp.tile(logits[:1], (draws, 1))
    keys = jax.random.split(jax.random.key(0), draws)
    tokens, log_probs = choose(rows, None, sampling, keys, jnp.int32(3))
    expected = np.asarray(jax.nn.softmax(process(rows[:1], None, sampling)[0]))
    counts = np.bincount(tokens, minlength=VOCABULARY)
    assert counts[expected == 0].sum() == 0
    deviation = np.sqrt(draws * expected * (1 - expected))
    assert np.all(np.abs(counts - draws * expected) <= 4 * deviation)
    np.testing.assert_allclose(log_probs, np.log(expected[tokens]), rtol=1e-5)


def test_several_are_drawn_one_after_the_other_and_none_twice():
    """The first as the softmax says, the second as it says of the rest; the impossible last."""
    draws = 20_000
    scores = np.log(np.float32([0.5, 0.3, 0.2, 0.0]) + 1e-38)
    scores[3] = -np.inf
    keys = jax.random.split(jax.random.key(0), draws)
    rows = jnp.tile(jnp.asarray(scores)[None], (draws, 1))
    found, places = draw_several(rows, 4, keys, jnp.int32(1))
    np.testing.assert_array_equal(found, scores[np.asarray(places)])
    np.testing.assert_array_equal(np.sort(places, axis=1), np.tile(np.arange(4), (draws, 1)))
    np.testing.assert_array_equal(places[:, 3], 3)
    counts = np.bincount(np.asarray(places[:, 0]) * 4 + np.asarray(places[:, 1]), minlength=16)
    p = np.array([0.5, 0.3, 0.2, 0.0])
    expected = p[:, None] * p[None, :] / (1 - p[:, None])
    np.fill_diagonal(expected, 0)
    deviation = np.sqrt(draws * expected * (1 - expected))
    assert np.all(np.abs(counts.reshape(4, 4) - draws * expected) <= 4 * deviation)


def test_a_row_is_drawn_with_its_own_key_and_step(logits):
    sampling = Sampling(temperature=jnp.float32(1.0))
    keys = jax.random.split(jax.random.key(0), ROWS)
    rows = jnp.asarray(np.zeros_like(logits))
    whole = choose(rows, None, sampling, keys, jnp.int32(0))[0]
    part = choose(rows[3:5], None, sampling, keys[3:5], jnp.int32(0))[0]
    np.testing.assert_array_equal(whole[3:5], part)
    assert len(set(whole.tolist())) > ROWS / 2
    assert not np.array_equal(whole, choose(rows, None, sampling, keys, jnp.int32(1))[0])


def test_without_a_temperature_the_likeliest_is_chosen(logits):
    keys = jax.random.split(jax.random.key(0), ROWS)
    tokens, log_probs = choose(jnp.asarray(logits), None, Sampling(), keys, jnp.int32(0))
    np.testing.assert_array_equal(tokens, logits.argmax(axis=1))
    np.testing.assert_allclose(log_probs, jax.nn.log_softmax(logits).max(axis=1), rtol=1e-5)


def test_chosen_tokens_are_seen():
    seen = mark_seen(jnp.zeros((2, 4), bool), jnp.array([1, 3]))
    np.testing.assert_array_equal(seen, [[0, 1, 0, 0], [0, 0, 0, 1]])
    assert mark_seen(None, jnp.array([1, 3])) is None
