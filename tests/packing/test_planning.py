import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsl_jax.data import batch_order
from fsl_jax.packing.padding import padding
from fsl_jax.packing.planning import place_chunks, place_steps

pools = st.lists(st.integers(1, 60), min_size=1, max_size=30).map(np.int32)
seeds = st.integers(0, 2**32 - 1)


def check(lengths, placements):
    """No two examples of a step share a place, and each is inside one row."""
    shape = placements.shape
    examples, starts, weight = (
        np.asarray(each).reshape(-1, each.shape[-1])
        for each in (placements.examples, placements.starts, placements.weight)
    )
    assert (examples.dtype, starts.dtype, weight.dtype) == (np.int32, np.int32, np.float32)
    for step in range(len(examples)):
        places, rows = np.zeros(shape.tokens, int), np.zeros(shape.rows, int)
        for example, start, counts in zip(examples[step], starts[step], weight[step], strict=True):
            assert counts in (0, 1)
            if counts:
                end = start + lengths[example]
                assert start // shape.length == (end - 1) // shape.length
                places[start:end] += 1
                rows[start // shape.length] += 1
        assert places.max() <= 1
        assert rows.max() <= shape.slots


@settings(max_examples=40)
@given(pools, seeds, st.integers(1, 3), st.integers(1, 9), st.sampled_from([0, 0, 3]))
def test_all_steps_of_all_runs_share_rows(lengths, seed, multiple, batch_size, slot_width):
    random = np.random.default_rng(seed)
    examples = random.integers(0, len(lengths), (2, 3, batch_size), np.int32)
    placements = place_steps(lengths, examples, multiple, slot_width)
    np.testing.assert_array_equal(placements.examples, examples)
    assert (placements.weight == 1).all()
    assert placements.shape.rows % multiple == 0
    assert placements.shape.length % 8 == 0
    check(lengths, placements)


@given(pools, seeds, st.integers(1, 3), st.integers(20, 200))
def test_each_example_of_each_run_is_in_one_chunk(lengths, seed, runs, tokens):
    random = np.random.default_rng(seed)
    examples = [
        random.permutation(len(lengths))[: random.integers(0, len(lengths) + 1)].astype(np.int32)
        for _ in range(runs - 1)
    ] + [np.arange(len(lengths), dtype=np.int32)]
    placements = place_chunks(lengths, examples, tokens)
    check(lengths, placements)
    for run, chosen in enumerate(examples):
        counts = placements.weight[run] > 0
        assert sorted(placements.examples[run][counts]) == sorted(chosen)


@given(pools, seeds, st.integers(2, 4))
def test_all_segments_of_an_example_are_in_its_step(lengths, seed, width):
    random = np.random.default_rng(seed)
    # Each example has a first segment, and perhaps others.
    others = random.integers(0, 20, (len(lengths), width - 1), np.int32)
    segments = np.concatenate([lengths[:, None], others], axis=1)
    examples = random.integers(0, len(lengths), (1, 2, 3), np.int32)
    chunks = [np.arange(len(lengths), dtype=np.int32)]
    for placements in (
        place_steps(segments.ravel(), examples, width=width),
        place_chunks(segments.ravel(), chunks, 60, width=width),
    ):
        within = np.arange(width, dtype=np.int32)
        numbers = placements.examples[..., None] * width + within
        counts = (placements.weight[..., None] > 0) & (segments.ravel()[numbers] > 0)
        flat = {
            "examples": numbers.reshape(placements.starts.shape),
            "weight": counts.reshape(placements.starts.shape).astype(np.float32),
        }
        check(segments.ravel(), placements.replace(**flat))


@pytest.mark.parametrize("runs", [1, 2])
def test_runs_with_equal_batches_have_equal_places(runs):
    lengths = np.int32([9, 14, 30, 5, 7, 12])
    examples = np.tile(np.int32([[[0, 1, 2], [3, 4, 5]]]), (runs, 1, 1))
    placements = place_steps(lengths, examples)
    np.testing.assert_array_equal(placements.starts, placements.starts[:1].repeat(runs, 0))


@pytest.mark.parametrize(("runs", "most"), [(1, 0.12), (8, 0.2)])
@pytest.mark.parametrize("batch_size", [8, 16])
def test_there_is_little_padding(runs, most, batch_size):
    # Lengths like those of sentences of reviews; each run has 32 of its own to train on.
    lengths = np.random.default_rng(0).gamma(5, 5, (runs, 32)).astype(np.int32) + 4
    steps = [
        batch_order(seed, own, batch_size, 100) + np.int32(32 * seed)
        for seed, own in enumerate(lengths)
    ]
    placements = place_steps(lengths.ravel(), np.stack(steps))
    assert padding(lengths.ravel(), placements).share < most
    chunks = place_chunks(
        lengths.ravel(), list(np.arange(32 * runs, dtype=np.int32).reshape(runs, 32))
    )
    assert padding(lengths.ravel(), chunks).share < most


def test_runs_may_have_different_numbers_of_validation_examples():
    lengths = np.full(40, 10, np.int32)
    examples = [np.arange(40, dtype=np.int32), np.arange(9, dtype=np.int32)]
    placements = place_chunks(lengths, examples, tokens=100)
    assert placements.examples.shape == (2, 4, 10)
    assert placements.weight.sum(axis=(1, 2)).tolist() == [40, 9]
    assert placements.shape.tokens < 120
