"""Draws without groups are held by tests/data/test_splits."""

import hashlib
from collections import Counter

import pytest

from fsl_jax.data import Dataset, Example, text_example
from fsl_jax.data.draws.by_class import draw_by_class
from fsl_jax.errors import InputError


def grouped(groups, each):
    train = tuple(
        Example({"text": f"{g} {n}"}, "ab"[n % 2], group=str(g))
        for g in range(groups)
        for n in range(each)
    )
    return Dataset("grouped", train, (), (), ("a", "b"))


def test_groups_stay_on_one_side():
    split = draw_by_class(grouped(10, 4), 5, 0)
    assert not {e.group for e in split.train} & {e.group for e in split.validation}
    for part in (split.train, split.validation):
        assert Counter(example.answer for example in part) == {"a": 5, "b": 5}


def test_too_few_in_the_groups_of_a_side_are_an_error():
    with pytest.raises(InputError) as error:
        draw_by_class(grouped(2, 4), 3, 0)
    assert "class 'a' has 2 examples in the groups to train on, 3 are needed" in str(error.value)
    assert "At most 2 shots fit" in str(error.value)


def test_draws_are_those_of_all_studies_so_far():
    train = tuple(text_example(f"{c} {n}", c) for c in "abc" for n in range(30))
    split = draw_by_class(Dataset("s", train, (), (), ("a", "b", "c")), 8, 13)
    texts = "|".join(example.text for example in (*split.train, *split.validation))
    assert hashlib.sha256(texts.encode()).hexdigest()[:16] == "1e29b16ddd059709"
