import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.data import batch_order
from fsl_jax.errors import InputError

sizes = st.integers(1, 40)
seeds = st.integers(0, 2**40)
texts = st.lists(st.integers(1, 99), min_size=1, max_size=40).map(np.int32)

# The tokens of 32 sentences of film reviews: a few are much longer than most.
REVIEWS = np.int32(
    [9, 31, 17, 12, 44, 24, 8, 22, 19, 36, 13, 27, 78, 10, 25, 21]
    + [15, 33, 11, 29, 20, 38, 14, 23, 41, 18, 26, 9, 30, 16, 35, 28]
)


def tokens(order, lengths=REVIEWS):
    return lengths[order].sum(axis=1)


@given(seeds, texts, sizes, st.integers(0, 30))
def test_every_epoch_covers_each_example_once(seed, lengths, batch_size, steps):
    order = batch_order(seed, lengths, batch_size, steps)
    assert order.shape == (steps, batch_size)
    assert order.dtype == np.int32
    flat = order.reshape(-1)
    for start in range(0, len(flat), len(lengths)):
        epoch = flat[start : start + len(lengths)]
        assert len(set(epoch)) == len(epoch)
        assert set(epoch) <= set(range(len(lengths)))


@given(seeds, texts, sizes, st.integers(0, 30), st.integers(0, 30))
def test_more_steps_continue_fewer(seed, lengths, batch_size, steps, more):
    short = batch_order(seed, lengths, batch_size, steps)
    long = batch_order(seed, lengths, batch_size, steps + more)
    np.testing.assert_array_equal(long[:steps], short)


@given(seeds, texts, sizes, st.integers(1, 50))
def test_tokens_before_every_text_change_nothing(seed, lengths, batch_size, before):
    order = batch_order(seed, lengths, batch_size, 12)
    np.testing.assert_array_equal(batch_order(seed, lengths + before, batch_size, 12), order)


def test_a_seed_is_one_order_and_another_seed_another():
    order = batch_order(13, REVIEWS, 8, 20)
    np.testing.assert_array_equal(batch_order(13, REVIEWS, 8, 20), order)
    assert (batch_order(21, REVIEWS, 8, 20) != order).any()


def test_epochs_are_shuffled_anew():
    order = batch_order(13, REVIEWS, 32, 2)
    assert (order[0] != order[1]).any()
    assert (order[0] != np.arange(32)).any()
    epochs = batch_order(13, REVIEWS, 8, 400).reshape(100, 4, 8)
    assert len({frozenset(batch) for epoch in epochs for batch in epoch.tolist()}) == 400


@pytest.mark.parametrize("batch_size", [8, 10, 16, 24])
def test_batches_have_about_as_many_tokens(batch_size):
    even = tokens(batch_order(13, REVIEWS, batch_size, 200))
    # Equal lengths leave the shuffle as it is.
    shuffled = tokens(batch_order(13, np.ones_like(REVIEWS), batch_size, 200))
    mean = batch_size * REVIEWS.mean()
    assert np.abs(even / mean - 1).max() < 0.06
    assert np.abs(shuffled / mean - 1).max() > 0.15


@pytest.mark.parametrize(
    ("batch_size", "batches", "tolerance"), [(8, 4, 5), (16, 2, 5), (24, 4, 9)]
)
def test_each_example_is_in_every_batch_equally_often(batch_size, batches, tolerance):
    # After so many batches, an epoch begins with a batch again.
    periods, share = 2000, batch_size / 32
    order = batch_order(13, REVIEWS, batch_size, periods * batches)
    period = order.reshape(periods, batches, batch_size)
    times = np.array(
        [np.bincount(period[:, each].ravel(), minlength=32) for each in range(batches)]
    )
    # Counts by chance stay within five standard deviations. Where batches reach over the end of an
    # epoch, a shift of a few percent cannot be avoided.
    deviation = math.sqrt(periods * share * (1 - share))
    assert np.abs(times - periods * share).max() < tolerance * deviation


def test_every_two_examples_share_a_batch_now_and_then():
    order = batch_order(13, REVIEWS, 8, 4 * 2000)
    together = np.zeros((32, 32), int)
    for batch in order:
        together[np.ix_(batch, batch)] += 1
    pairs = together[~np.eye(32, dtype=bool)]
    # By chance alone, two of 32 share one of four batches of an epoch in 7 of 31.
    assert pairs.mean() == pytest.approx(2000 * 7 / 31)
    assert pairs.min() > 0.08 * pairs.mean()
    assert np.percentile(pairs, 5) > 0.7 * pairs.mean()


def test_a_batch_larger_than_the_data_holds_examples_again():
    for batch in batch_order(13, np.int32([4, 9, 30]), batch_size=8, steps=10):
        assert np.bincount(batch, minlength=3).min() >= 2
        assert np.bincount(batch, minlength=3).max() <= 4


def test_names_all_numbers_that_are_out_of_range():
    with pytest.raises(InputError) as error:
        batch_order(-1, np.zeros(0, np.int32), 0, -2)
    for says in ("seed is -1", "number of examples is 0", "batch_size is 0", "steps is -2"):
        assert says in str(error.value)
