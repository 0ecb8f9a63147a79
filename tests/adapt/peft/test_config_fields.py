"""Fields of PEFT's configs that are not supported, and counts."""

import pytest

from fsl_jax.adapt.peft.config_fields import count_problems, unsupported_fields


def test_what_is_empty_changes_nothing():
    empty = {"a": None, "b": False, "c": "none", "d": [], "e": {}}
    assert not unsupported_fields(empty, ())
    assert not unsupported_fields({"known": 3}, {"known"})


def test_what_is_not_known_is_listed():
    values = {"trainable_token_indices": [3], "bias": "all", "alpha": 3}
    assert unsupported_fields(values, ()) == [
        "alpha is 3, which is not supported",
        "bias is 'all', which is not supported",
        "trainable_token_indices is [3], which is not supported",
    ]


@pytest.mark.parametrize("value", [0, -1, 1.0, True, None, "3"])
def test_a_count_is_a_whole_number_of_at_least_one(value):
    [fault] = count_problems({"r": value}, "r")
    assert fault == f"r is {value!r}; expected a whole number of at least 1"
    assert not count_problems({"r": 1}, "r")
