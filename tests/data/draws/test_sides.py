import pytest

from fsl_jax.data import Dataset, Example
from fsl_jax.data.draws.sides import checked_generator, sides
from fsl_jax.errors import InputError


def examples(*groups):
    return tuple(Example({"text": str(n)}, n, group=group) for n, group in enumerate(groups))


def dataset(train, validation=()):
    return Dataset("s", train, validation, (), ())


def test_without_groups_and_validation_there_is_one_pool_and_nothing_is_drawn():
    generator = checked_generator(1, 5)
    assert sides(dataset(examples("", "")), generator) is None
    assert generator.random() == checked_generator(1, 5).random()


def test_a_validation_part_is_the_other_pool():
    train, validation = examples("a", "b"), examples("c")
    assert sides(dataset(train, validation), checked_generator(1, 0)) == (train, validation)


def test_groups_are_divided_into_halves():
    train = examples(*"aabbccdd", "", "")
    first, second = sides(dataset(train), checked_generator(1, 0))
    assert len(first) == len(second) == 5
    assert set(first) | set(second) == set(train)
    assert {e.group for e in first} & {e.group for e in second} <= {""}


@pytest.mark.parametrize(("shots", "seed"), [(0, 1), (1, -1)])
def test_numbers_out_of_range_are_refused(shots, seed):
    with pytest.raises(InputError):
        checked_generator(shots, seed)
