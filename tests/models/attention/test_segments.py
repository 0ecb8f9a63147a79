"""Masks and positions of packed rows, against plain loops over drawn rows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsl_jax.errors import InputError
from fsl_jax.models.attention.attention import within_window
from fsl_jax.models.attention.causal import causal_attention_inputs
from fsl_jax.models.attention.segments import (
    require_segments,
    segment_positions,
    within_segments,
)
from fsl_jax.models.outputs import KeyValues

ROWS, LENGTH, BEFORE = 2, 12, 7


def test_positions_begin_at_0_in_each_segment_and_pass_over_what_does_not_count():
    segments = jnp.array([[2, 2, 2, 1, 1, 0, 0], [0, 3, 3, 3, 0, 4, 4]])
    real = jnp.array([[1, 1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 0, 1, 1]], bool)
    found = segment_positions(real, segments)
    assert found[0, :5].tolist() == [0, 1, 2, 0, 1]
    assert found[1, jnp.array([1, 2, 3, 5, 6])].tolist() == [0, 0, 1, 0, 1]


@st.composite
def segments_of_rows(draw, length):
    """Segments of several lengths with padding between them; both rows have the same numbers."""
    rows = np.zeros((ROWS, length), np.int32)
    for row in rows:
        column = 0
        for number in draw(st.permutations(range(1, 5))):
            column += draw(st.integers(0, 2))
            size = draw(st.integers(1, 6))
            row[column : column + size] = number
            column += size
    return rows


def bits(*shape):
    size = int(np.prod(shape))
    drawn = st.lists(st.booleans(), min_size=size, max_size=size)
    return drawn.map(lambda each: np.array(each).reshape(shape))


@st.composite
def packed_rows(draw):
    """Rows, in which some tokens do not count, and tokens before them, perhaps with segments."""
    segments = draw(segments_of_rows(LENGTH))
    mask = draw(bits(ROWS, LENGTH)) if draw(st.booleans()) else segments > 0
    batch = draw(st.sampled_from([1, ROWS]))
    before = {"mask": draw(bits(batch, BEFORE)), "segment_ids": None}
    if batch == ROWS and draw(st.booleans()):
        before["segment_ids"] = draw(segments_of_rows(BEFORE))
    return segments, mask, before


def key_values(mask, segment_ids):
    keys = jnp.zeros((1, *mask.shape, 1, 1))
    return KeyValues(keys, keys, mask, segment_ids=segment_ids)


@functools.partial(jax.jit, static_argnames="causal")
def found_without_prefix(segments, mask, causal):
    return within_segments(mask, None, segments, causal=causal)


@jax.jit
def found_after_prefix(segments, mask, before):
    """The inputs of a decoder's layers after keys and values of earlier tokens."""
    prefix = key_values(**before)
    pairs, positions = within_segments(mask, None, segments, prefix, causal=True)
    inputs = causal_attention_inputs(pairs, positions, prefix)
    return inputs.mask, inputs.real, inputs.positions, inputs.key_positions()


def counted(row, mask, column):
    """The number of tokens that count in a token's segment, up to itself."""
    return sum(row[other] == row[column] and mask[other] for other in range(column + 1))


@settings(max_examples=60)
@given(packed_rows(), st.booleans())
def test_a_token_sees_its_own_segment_alone(drawn, causal):
    segments, mask, _ = drawn
    pairs, positions = map(np.asarray, found_without_prefix(segments, mask, causal))
    for row in range(ROWS):
        for query in range(LENGTH):
            for key in range(LENGTH):
                same = segments[row, query] == segments[row, key] != 0
                seen = same and mask[row, key] and (key <= query or not causal)
                assert pairs[row, query, key] == seen
            if segments[row, query]:
                expected = max(counted(segments[row], mask[row], query) - 1, 0)
                assert positions[row, query] == expected


@settings(max_examples=60)
@given(packed_rows(), st.integers(1, 9))
def test_windows_are_measured_inside_segments_from_what_comes_before_them(drawn, window):
    segments, mask, before = drawn
    pairs, real, positions, key_positions = found_after_prefix(segments, mask, before)
    pairs &= within_window(positions, key_positions, window)
    pairs, real, positions = map(np.asarray, (pairs, real, positions))
    for row in range(ROWS):
        owners, shown = earlier(before, row)
        for query in np.flatnonzero(segments[row]):
            own = segments[row, query]
            seen = [bool(shown[key]) and owners[key] in (own, None) for key in range(BEFORE)]
            position = sum(seen) + max(counted(segments[row], mask[row], query) - 1, 0)
            assert positions[row, query] == position
            for key in range(BEFORE):
                place = max(counted(owners, shown, key) - 1, 0)
                assert pairs[row, query, key] == (seen[key] and position - place < window)
            for key in range(LENGTH):
                place = positions[row, key]
                is_before = segments[row, key] == own and mask[row, key] and key <= query
                expected = is_before and position - place < window
                assert pairs[row, query, BEFORE + key] == expected
    assert (real == mask & (segments > 0)).all()


def earlier(before, row):
    """The segment of each earlier token of a row, None for all of them, and which count."""
    shared, owners = before["mask"][min(row, len(before["mask"]) - 1)], before["segment_ids"]
    if owners is None:
        return [None] * BEFORE, shared
    return owners[row].tolist(), shared & (owners[row] > 0)


def test_a_mask_of_pairs_and_given_positions_stay_as_they_are():
    pairs, positions = jnp.ones((1, 3, 5), bool), jnp.array([[4, 4, 7]])
    segments = jnp.array([[1, 1, 2]])
    found = within_segments(pairs, positions, segments, causal=True)
    assert found[0] is pairs
    assert found[1] is positions
    mask, found = within_segments(pairs[..., 0], positions, segments, causal=False)
    assert found is positions
    assert mask.astype(int).tolist() == [[[1, 1, 0], [1, 1, 0], [0, 0, 1]]]


def test_tokens_without_segments_cannot_follow_packed_rows():
    mask = jnp.ones((1, 2), bool)
    require_segments(None, None, key_values(mask, None))
    require_segments(mask.astype(jnp.int32), key_values(mask, mask.astype(jnp.int32)))
    with pytest.raises(InputError, match=r"segment_ids are missing: .* in packed rows"):
        require_segments(None, key_values(mask, mask.astype(jnp.int32)))
