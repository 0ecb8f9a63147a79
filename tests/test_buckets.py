import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.buckets import bucket_length, bucket_lengths, pad_tokens

sequences = st.lists(st.lists(st.integers(1, 30_000), max_size=40), max_size=8)


def test_lengths_are_few():
    assert bucket_lengths(512) == (16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
    assert bucket_lengths(300) == (16, 32, 48, 64, 96, 128, 192, 256, 300)
    assert len(bucket_lengths(131_072)) == 26
    assert bucket_lengths(10) == (10,)
    assert bucket_lengths(16) == (16,)
    assert bucket_lengths(17) == (16, 17)


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_the_smallest_length_that_fits_is_chosen(longest, maximum):
    longest = min(longest, maximum)
    length = bucket_length(longest, maximum)
    assert longest <= length <= maximum
    assert not [shorter for shorter in bucket_lengths(maximum) if longest <= shorter < length]
    if longest > 32:
        assert length < 1.5 * longest


def test_what_fits_nowhere_is_an_error():
    with pytest.raises(ValueError, match="513 tokens does not fit into 512"):
        bucket_length(513, 512)


@given(sequences, st.integers(40, 50), st.integers(0, 5))
def test_padding_is_on_the_right_and_masked(sequences, length, pad_id):
    input_ids, mask = pad_tokens(sequences, length, pad_id)
    assert input_ids.shape == mask.shape == (len(sequences), length)
    assert (input_ids.dtype, mask.dtype) == (np.int32, np.bool_)
    assert [row[real].tolist() for row, real in zip(input_ids, mask, strict=True)] == sequences
    assert (input_ids[~mask] == pad_id).all()
    assert (np.diff(mask.astype(np.int8), axis=1) <= 0).all()


def test_padding_never_cuts():
    with pytest.raises(ValueError, match="3 tokens does not fit into 2"):
        pad_tokens([[1], [1, 2, 3]], 2, 0)
