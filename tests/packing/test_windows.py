import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsl_jax.packing import windows
from fsl_jax.packing.padding import padding
from fsl_jax.packing.placements import RowShape
from fsl_jax.packing.window_shapes import BatchShape
from fsl_jax.packing.windows import Packer

lengths_of_windows = st.lists(
    st.lists(st.integers(1, 700), min_size=1, max_size=40).map(np.int32), min_size=1, max_size=3
)


def batch_shapes(batches):
    return {(each.shape, each.examples.shape) for each in batches}


@settings(max_examples=40)
@given(
    lengths_of_windows,
    st.sampled_from([1, 3]),
    st.sampled_from([0, 2]),
    st.sampled_from([100, 600]),
)
def test_every_index_is_in_one_batch(window_lengths, multiple, slot_width, tokens):
    packer = Packer(tokens, multiple, slot_width)
    for lengths in window_lengths:
        times = np.zeros(len(lengths), int)
        for batch in packer.pack(lengths):
            assert (batch.examples.dtype, batch.starts.dtype) == (np.int32, np.int32)
            assert batch.weight.dtype == np.float32
            assert set(batch.weight) <= {0, 1}
            assert batch.shape.rows % multiple == 0
            counts = batch.weight > 0
            chosen, starts = batch.examples[counts], batch.starts[counts]
            times[chosen] += 1
            rows = starts // batch.shape.length
            assert (rows == (starts + lengths[chosen] - 1) // batch.shape.length).all()
            assert np.bincount(rows).max() <= batch.shape.slots
            places = np.zeros(batch.shape.tokens, int)
            for start, length in zip(starts, lengths[chosen], strict=True):
                places[start : start + length] += 1
            assert places.max() == 1
        assert (times == 1).all()


@pytest.fixture(scope="module")
def reviews():
    """Lengths like those of sentences of reviews."""
    return np.random.default_rng(0).gamma(5, 5, 3000).astype(np.int32) + 4


def test_there_is_little_padding_in_few_shapes(reviews):
    packer = Packer(1024)
    batches, computed = [], 0
    for window in np.split(reviews, 3):
        packed = list(packer.pack(window))
        computed += padding(window, *packed).computed
        batches += packed
    assert 1 - reviews.sum() / computed < 0.08
    assert len(batch_shapes(batches)) <= 2
    assert all(800 < each.shape.tokens < 1200 for each in batches)


def test_a_window_like_the_one_before_has_the_same_shapes(reviews):
    packer = Packer(1024)
    first = batch_shapes(packer.pack(reviews[:1000]))
    assert batch_shapes(packer.pack(reviews[:1000])) == first
    assert batch_shapes(packer.pack(reviews[:10])) == first


def test_only_longer_examples_get_another_shape(reviews):
    packer = Packer(1024)
    before = batch_shapes(packer.pack(reviews))
    longer = np.append(reviews, np.full(40, 900, np.int32))
    after = batch_shapes(packer.pack(longer))
    assert max(shape.length for shape, _ in after) >= 900
    assert batch_shapes(packer.pack(longer)) == after
    assert len(after | before) <= 3


def test_few_long_examples_do_not_make_all_rows_long(reviews):
    mixed = np.append(reviews, np.full(40, 900, np.int32))
    batches = list(Packer(1024).pack(mixed))
    assert {min(each.shape.length, 500) // 500 for each in batches} == {0, 1}
    assert padding(mixed, *batches).share < 0.15


def test_short_examples_may_have_longer_rows_than_the_long_ones(monkeypatch):
    shapes = [
        BatchShape(RowShape(3, 336, 9), 9, longest=128),
        BatchShape(RowShape(2, 320, 2), 2, longest=320),
    ]
    monkeypatch.setattr(windows, "choose_shapes", lambda *_: shapes)
    lengths = np.int32([112] * 9 + [270, 129])
    short, long = Packer(1024).pack(lengths)
    assert (short.shape.length, sorted(short.examples)) == (336, list(range(9)))
    assert (long.shape.length, sorted(long.examples)) == (320, [9, 10])


def test_a_small_window_is_one_small_batch():
    [batch] = Packer(1024).pack(np.int32([9, 7, 12, 30]))
    assert batch.shape.tokens == 64
