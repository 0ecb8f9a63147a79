"""A cache is written in order, or as a ring that is as long as the window of all layers."""

import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models import generate
from fsl_jax.models.generation.cache import allocate, append, take_rows
from fsl_jax.models.outputs import KeyValues

WINDOW = 5


def tokens(columns, mask):
    """Keys that tell the row and the column, and values that are their negatives."""
    rows = np.arange(len(mask), dtype=np.float32)[:, None] * 100
    keys = (rows + np.asarray(columns, np.float32)[None])[None, :, :, None, None]
    positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0).astype(np.int32)
    return KeyValues(*map(jnp.asarray, (keys, -keys, mask, positions)))


@pytest.mark.parametrize("length", [2, 5, 7, 10, 13])
def test_a_ring_holds_the_last_tokens_in_any_order(length):
    mask = np.ones((2, length), bool)
    mask[1, : length - 1] = False
    cache = allocate(tokens(np.arange(length), mask), 30, 1, WINDOW)
    assert cache.keys.shape == (1, 2, WINDOW, 1, 1)
    assert cache.mask.shape == cache.positions.shape == (2, WINDOW)
    for column in range(length, 20):
        new = tokens([column], np.ones((2, 1), bool))
        new = KeyValues(
            new.keys, new.values, new.mask, jnp.int32([[column], [column - length + 1]])
        )
        cache = append(cache, new, jnp.int32(column))
        before = range(max(0, column + 1 - WINDOW), column + 1)
        for row, first in enumerate((0, length - 1)):
            real = np.asarray(cache.mask[row])
            expected = [each for each in before if each >= first]
            keys = np.asarray(cache.keys[0, row, :, 0, 0])[real] - 100 * row
            assert sorted(keys.tolist()) == expected
            np.testing.assert_array_equal(cache.positions[row][real], keys - first)
            np.testing.assert_array_equal(cache.values[0, row, :, 0, 0][real], -keys - 100 * row)


def test_rows_are_taken_with_all_that_belongs_to_them():
    mask = np.array([[True] * 3, [False, True, True]])
    cache = allocate(tokens(np.arange(3), mask), 9, 2, WINDOW)
    taken = take_rows(cache, jnp.array([3, 0, 1, 2]))
    for field in ("mask", "positions"):
        before, after = getattr(cache, field), getattr(taken, field)
        np.testing.assert_array_equal(after, before[np.array([3, 0, 1, 2])])
    np.testing.assert_array_equal(taken.keys[0, :, 2, 0, 0], [102, 2, 2, 102])


@pytest.mark.parametrize("window", [None, 9, 12])
def test_a_cache_that_fits_is_no_ring(window):
    cache = allocate(tokens(np.arange(3), np.ones((1, 3), bool)), 9, 1, window)
    assert cache.mask.shape == (1, 9)
    assert cache.positions is None


SLIDING = {"max_position_embeddings": 96, "sliding_window": WINDOW}
PROMPTS = ["3 17", "11 8 5 9 9", "29 4 4 21 9 36 14 1 6 2 2 7 30 22 19 8 3 3 5"]


@pytest.fixture(scope="module")
def mistral(save_and_load, word_tokenizer, decoder_sizes):
    """All of its layers slide."""
    return save_and_load("mistral", word_tokenizer, **decoder_sizes | SLIDING)


@pytest.fixture
def caches(monkeypatch):
    """The shapes of all caches that are allocated."""
    shapes = []

    def spy(*arguments):
        cache = allocate(*arguments)
        shapes.append(cache.keys.shape)
        return cache

    for module in ("decode_loop", "beam_search"):
        monkeypatch.setattr(f"fsl_jax.models.generation.{module}.allocate", spy)
    return shapes


@pytest.mark.parametrize("way", [{}, {"num_beams": 3, "num_return_sequences": 2}])
def test_generation_past_the_window_is_that_of_transformers(
    mistral, continue_in_torch, caches, way
):
    pretrained, model = mistral
    options = {"max_new_tokens": 20, "repetition_penalty": 1.5} | way
    ours = generate(pretrained, PROMPTS, **options)
    [shape] = caches
    assert shape == (2, 4 * options.get("num_beams", 1), WINDOW, 2, 8)
    theirs = continue_in_torch(pretrained, model, PROMPTS, [], **options | {"eos_token_id": None})
    flat = [each for found in ours for each in found]
    assert [list(each.tokens) for each in flat] == [found for found, _ in theirs]
    scores = [[each.score for each in flat], [score for _, score in theirs]]
    np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-4)
