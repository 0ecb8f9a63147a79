import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsl_jax.packing.window_shapes import choose_shapes

texts = st.lists(st.integers(1, 900), min_size=1, max_size=40).map(np.int32)


@settings(max_examples=40)
@given(texts, st.sampled_from([1, 4]), st.sampled_from([0, 3]))
def test_shapes_are_for_longer_and_longer_examples(lengths, multiple, slot_width):
    shapes = choose_shapes(lengths, 512, multiple, slot_width)
    longest = [shape.longest for shape in shapes]
    assert longest == sorted(set(longest))
    assert longest[-1] == shapes[-1].rows.length >= lengths.max()
    for shape in shapes:
        assert shape.longest <= shape.rows.length
        assert shape.rows.rows % multiple == shape.examples % multiple == 0
        assert shape.examples <= shape.rows.rows * shape.rows.slots


@pytest.mark.parametrize("tokens", [512, 2048])
def test_batches_have_about_as_many_tokens_as_asked(tokens):
    lengths = np.tile(np.int32([10, 20, 30, 40]), 200)
    [shape] = choose_shapes(lengths, tokens)
    assert shape.rows.tokens == pytest.approx(tokens, rel=0.1)
    # A batch of examples that are a fifth shorter has places for all of them.
    assert shape.examples >= 1.2 * tokens / lengths.mean()


def test_many_short_examples_do_not_pay_for_long_rows():
    short, long = np.full(2000, 20, np.int32), np.full(100, 1000, np.int32)
    assert len(choose_shapes(np.append(short, long), 1024)) == 2
    # So few are computed sooner in long rows than another program is compiled.
    assert len(choose_shapes(np.append(short[:100], long), 1024)) == 1
