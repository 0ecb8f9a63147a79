import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fsl_jax.packing.dealing import deal, even_counts

examples = st.tuples(st.integers(1, 3), st.integers(1, 30)).flatmap(
    lambda shape: arrays(np.int32, shape, elements=st.integers(0, 40))
)


@given(examples, st.integers(1, 9))
def test_each_example_is_in_one_batch_and_batches_are_even(lengths, batches):
    count = lengths.shape[1]
    dealt, dealt_lengths = deal(lengths, batches)
    assert dealt.dtype == np.int32
    assert dealt.shape == (len(lengths), batches, -(-count // batches))
    assert dealt_lengths.dtype == np.int32
    for sizes, indices, tokens in zip(lengths, dealt, dealt_lengths, strict=True):
        assert sorted(indices[indices < count]) == list(range(count))
        counts = (indices < count).sum(axis=1)
        assert counts.max() - counts.min() <= 1
        np.testing.assert_array_equal(tokens, np.append(sizes, 0)[indices])
        # Each round makes up for what the rounds before left.
        assert np.ptp(tokens.sum(axis=1)) <= sizes.max()


def test_the_batch_with_the_fewest_tokens_gets_the_longest_example():
    dealt, lengths = deal(np.int32([[3, 20, 9, 8, 2]]), 2)
    assert dealt.tolist() == [[[1, 0, 5], [2, 3, 4]]]
    assert lengths.tolist() == [[[20, 3, 0], [9, 8, 2]]]


def test_numbers_of_batches_divide_tokens_and_examples():
    # 24 texts of 250 tokens: six batches of 1,000 tokens have four texts each.
    assert even_counts(tokens=24 * 250, examples=24, most=1000) == (6, 6)
    # In seven batches some have three texts and some four; in eight, all have three.
    assert even_counts(tokens=24 * 250, examples=24, most=900) == (7, 8)
    assert even_counts(tokens=5000, examples=2, most=100) == (2, 2)
