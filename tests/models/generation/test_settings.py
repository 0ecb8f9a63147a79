import dataclasses

import numpy as np
import pytest

from fsl_jax.models.generation.settings import plain


@pytest.fixture
def problems(greedy):
    """The problems of greedy settings with some changed."""
    return lambda **given: dataclasses.replace(greedy, **given).problems()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"temperature": 0.5, "top_k": 3, "top_p": 1.0, "min_p": 0.0, "num_return_sequences": 9},
        {"num_beams": 4, "num_return_sequences": 4, "length_penalty": -1.0},
        {"stop": ["."], "stop_tokens": [3], "repetition_penalty": 0.5},
        {"stop": ["."], "num_beams": 2, "temperature": 0.5, "top_p": 0.9, "length_penalty": 0.0},
    ],
)
def test_what_goes_together_has_no_problem(problems, given):
    assert problems(**given) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens = 0: expected"),
        ({"max_new_tokens": 2**31}, "max_new_tokens = 2147483648: expected"),
        (
            {"num_return_sequences": 10**9, "temperature": 1.0},
            "num_return_sequences = 1000",
        ),
        ({"temperature": 1e-8}, "temperature = 1e-08: give 0"),
        ({"temperature": float("inf")}, "temperature = inf: expected"),
        ({"repetition_penalty": 1e-45}, "repetition_penalty = 1e-45: expected"),
        ({"num_beams": 2, "length_penalty": 1e30}, "length_penalty = 1e+30: expected"),
        ({"seed": -1}, "seed = -1: expected"),
        ({"seed": 2**64}, "seed = 18446744073709551616: expected"),
        ({"num_beams": 0}, "num_beams = 0: expected"),
        ({"num_return_sequences": 0}, "num_return_sequences = 0: expected"),
        ({"batch_size": 0}, "batch_size = 0: expected"),
        ({"temperature": -0.1}, "temperature = -0.1: expected"),
        ({"temperature": float("nan")}, "temperature = nan: expected"),
        ({"temperature": 1.0, "top_k": 0}, "top_k = 0: expected"),
        ({"temperature": 1.0, "top_p": 0.0}, "top_p = 0.0: expected"),
        ({"temperature": 1.0, "top_p": 1.1}, "top_p = 1.1: expected"),
        ({"temperature": 1.0, "min_p": -0.1}, "min_p = -0.1: expected"),
        ({"repetition_penalty": 0.0}, "repetition_penalty = 0.0: expected"),
        ({"num_beams": 2, "length_penalty": float("inf")}, "length_penalty = inf: expected"),
        ({"stop": "end"}, "the string 'end'"),
        ({"stop": [""]}, "not empty"),
        ({"stop": None}, "stop is None; expected a sequence of strings"),
        ({"stop": 7}, "stop is 7; expected a sequence of strings"),
        ({"top_k": 3}, "top_k is given and temperature is 0"),
        ({"top_p": 0.3}, "top_p is given and temperature is 0"),
        ({"min_p": 0.3}, "min_p is given and temperature is 0"),
        ({"num_beams": 2, "num_return_sequences": 3}, "more than num_beams"),
        ({"num_return_sequences": 2}, "likeliest continuation is one"),
        ({"length_penalty": 0.5}, "without num_beams"),
    ],
)
def test_each_problem_is_said(problems, given, words):
    [problem] = problems(**given)
    assert words in problem


def test_all_problems_are_said_at_once(problems):
    assert len(problems(max_new_tokens=0, top_k=0, top_p=2.0, stop="x", batch_size=-1)) == 7


def test_numbers_of_numpy_become_those_of_python():
    numbers = [plain(value) for value in (np.uint64(2**64 - 1), np.float32(0.5), 3)]
    assert numbers == [2**64 - 1, 0.5, 3]
    assert [type(number) for number in numbers] == [int, float, int]


def test_stops_may_come_one_by_one(greedy):
    stops = {"stop": iter(["."]), "stop_tokens": iter(np.array([3]))}
    settings = dataclasses.replace(greedy, **stops)
    assert settings.problems() == []
    assert (settings.stop, settings.stop_tokens) == ((".",), (3,))
    assert type(settings.stop_tokens[0]) is int
