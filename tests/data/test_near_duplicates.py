import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.data.near_duplicates import SIMILARITY, near_duplicates

texts = st.lists(
    st.lists(st.sampled_from("abcdefgh"), max_size=12).map(" ".join), min_size=1, max_size=6
)


def similarity(one, other):
    first, second = ({*text.split(), *itertools.pairwise(text.split())} for text in (one, other))
    return len(first & second) / len(first | second) if first | second else 0.0


@given(texts, texts)
def test_it_finds_what_comparing_each_with_each_finds(one, other):
    found = near_duplicates(one, other)
    expected = [i for i, t in enumerate(one) if max(similarity(t, o) for o in other) >= SIMILARITY]
    assert [i for i, _ in found] == expected
    for i, j in found:
        assert similarity(one[i], other[j]) == max(similarity(one[i], o) for o in other)


@pytest.mark.parametrize(
    ("text", "other", "alike"),
    [
        (
            "The quick brown fox jumps over the lazy dog near the old river bank today",
            "the quick brown fox jumps over the lazy dog near the old river bank!",
            True,
        ),
        ("left then right", "right then left", False),
        ("我今天早上去了北京大学的图书馆看书学习", "我今天早上去了北京大学的图书馆看书", True),
        ("", "", False),
    ],
)
def test_texts_of_any_script_are_compared(text, other, alike):
    assert bool(near_duplicates([text], [other])) == alike
