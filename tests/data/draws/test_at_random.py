import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.data import Dataset, Example
from fsl_jax.data.draws.at_random import draw_at_random
from fsl_jax.errors import InputError


def examples(part, count, groups=0):
    return tuple(
        Example({"text": f"{part} {n}"}, n, group=str(n % groups) if groups else "")
        for n in range(count)
    )


@given(st.integers(1, 10), st.integers(0, 99), st.sampled_from([0, 5]))
def test_k_examples_are_drawn_for_each_part_from_other_groups(shots, seed, groups):
    source = Dataset("n", examples("t", 40, groups), (), (), ())
    split = draw_at_random(source, shots, seed)
    assert len(split.train) == len(split.validation) == shots
    assert not set(split.train) & set(split.validation)
    if groups:
        assert not {e.group for e in split.train} & {e.group for e in split.validation}
    assert draw_at_random(source, shots, seed) == split
    assert draw_at_random(source, shots + 1, seed).train[:shots] == split.train


def test_validation_is_drawn_from_its_own_part():
    source = Dataset("n", examples("t", 5), examples("v", 5), (), ())
    split = draw_at_random(source, 5, 0)
    assert set(split.validation) == set(source.validation)


@pytest.mark.parametrize(
    ("train", "validation", "groups", "says"),
    [
        (7, 0, 0, "there are 7 examples in train, 8 are needed"),
        (9, 3, 0, "there are 3 examples in validation, 4 are needed"),
        (7, 0, 7, "there are 3 examples in the groups to validate on, 4 are needed"),
    ],
)
def test_too_few_examples_are_an_error(train, validation, groups, says):
    source = Dataset("n", examples("t", train, groups), examples("v", validation), (), ())
    with pytest.raises(InputError) as error:
        draw_at_random(source, 4, 0)
    assert says in str(error.value)
    assert "At most 3 shots fit" in str(error.value)
