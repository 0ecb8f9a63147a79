"""Errors suggest names that are meant, and list each problem once."""

import pytest

from fsl_jax.errors import (
    MAX_MESSAGE,
    MAX_PROBLEMS,
    InputError,
    brief,
    nearest_names,
    problems_error,
    unknown_name,
)


def test_the_nearest_names_are_suggested_and_all_are_listed():
    error = unknown_name("method", "lorra", ["lora", "full", "bitfit"])
    assert isinstance(error, InputError)
    assert str(error) == ("unknown method 'lorra'. Did you mean 'lora'? Known: bitfit, full, lora.")
    assert error.problems == ()


def test_without_a_near_name_none_is_suggested():
    assert str(unknown_name("method", "xyz", ["lora"])) == "unknown method 'xyz'. Known: lora."


def test_problems_are_listed_once_each_in_their_order():
    error = problems_error("it cannot be used:", iter(["second is 0", "first is 1", "second is 0"]))
    assert error.problems == ("second is 0", "first is 1")
    assert str(error) == "it cannot be used:\n  - second is 0\n  - first is 1"


def test_it_is_a_value_error():
    with pytest.raises(ValueError, match="it cannot"):
        raise problems_error("it cannot be used:", [])


def test_long_messages_are_cut():
    error = InputError("a" * 100_000 + "what to do")
    assert len(str(error)) <= MAX_MESSAGE + 100
    assert str(error).endswith("what to do")
    assert "characters are left out" in str(error)


def test_problems_are_limited_in_number_and_length():
    error = problems_error("model: cannot be read:", (f"{n} {'x' * 10_000}" for n in range(5000)))
    assert len(error.problems) == MAX_PROBLEMS
    assert max(map(len, error.problems)) <= MAX_MESSAGE + 100
    assert len(str(error)) <= MAX_MESSAGE + 100


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LoRA", ["lora"]),
        ("lr", ["learning_rates"]),
        ("mgl", ["memory_gib_limit"]),
        ("learning_rate", ["learning_rates"]),
        ("xyz", []),
        ("", []),
    ],
)
def test_names_that_a_user_may_have_meant(name, expected):
    known = ["lora", "learning_rates", "memory_gib_limit", "shots"]
    assert nearest_names(name, known)[:1] == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a" * 58, "'" + "a" * 58 + "'"),
        ("a" * 59, "'" + "a" * 56 + "..."),
        (2**1000, "a number of 1,001 bits"),
        (True, "True"),
    ],
)
def test_values_are_short_in_messages(value, text):
    assert brief(value) == text


def test_a_long_unknown_name_is_cut():
    error = unknown_name("family", "a" * 1_000_000, ["llama"])
    assert len(str(error)) < 200
