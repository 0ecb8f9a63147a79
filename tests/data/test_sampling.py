import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.data import batch_order
from fsl_jax.errors import InputError

sizes = st.integers(1, 40)
seeds = st.integers(0, 2**40)


@given(seeds, sizes, sizes, st.integers(0, 30))
def test_every_epoch_covers_each_example_once(seed, num_examples, batch_size, steps):
    order = batch_order(seed, num_examples, batch_size, steps)
    assert order.shape == (steps, batch_size)
    assert order.dtype == np.int32
    flat = order.reshape(-1)
    for start in range(0, len(flat), num_examples):
        epoch = flat[start : start + num_examples]
        assert len(set(epoch)) == len(epoch)
        assert set(epoch) <= set(range(num_examples))


@given(seeds, sizes, sizes, st.integers(0, 30), st.integers(0, 30))
def test_more_steps_continue_fewer(seed, num_examples, batch_size, steps, more):
    short = batch_order(seed, num_examples, batch_size, steps)
    long = batch_order(seed, num_examples, batch_size, steps + more)
    np.testing.assert_array_equal(long[:steps], short)


def test_a_seed_is_one_order_and_another_seed_another():
    order = batch_order(13, 32, 8, 20)
    np.testing.assert_array_equal(batch_order(13, 32, 8, 20), order)
    assert (batch_order(21, 32, 8, 20) != order).any()


def test_epochs_are_shuffled_anew():
    order = batch_order(13, 32, 32, 2)
    assert (order[0] != order[1]).any()
    assert (order[0] != np.arange(32)).any()


def test_a_batch_larger_than_the_data_holds_examples_again():
    for batch in batch_order(13, num_examples=3, batch_size=8, steps=10):
        assert np.bincount(batch, minlength=3).min() >= 2
        assert np.bincount(batch, minlength=3).max() <= 4


def test_names_all_numbers_that_are_out_of_range():
    with pytest.raises(InputError) as error:
        batch_order(-1, 0, 0, -2)
    for says in ("seed is -1", "num_examples is 0", "batch_size is 0", "steps is -2"):
        assert says in str(error.value)
