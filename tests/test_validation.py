"""Check values by annotations; the tests of records have the messages of every kind."""

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.validation import checked_fields


class Point(NamedTuple):
    step: int
    value: float | None


@dataclasses.dataclass(frozen=True)
class Saved:
    name: str
    rate: float
    shapes: dict[str, list[int]]
    anything: Any
    points: tuple[Point, ...]


GOOD = {"name": "a", "rate": 0.5, "shapes": {"x": [1, 2]}, "anything": None, "points": [[1, None]]}


def test_values_that_fit_stay_as_they_are():
    assert checked_fields(Saved, GOOD) == {**GOOD, "points": (Point(1, None),)}


def test_values_that_no_field_is_for_are_ignored():
    assert checked_fields(Saved, {**GOOD, "later": 1}) == checked_fields(Saved, GOOD)


@pytest.mark.parametrize("one", [1, np.int64(1), np.float32(1), jnp.float32(1), jnp.bfloat16(1)])
def test_a_number_for_a_float_becomes_a_float(one):
    rate = checked_fields(Saved, {**GOOD, "rate": one})["rate"]
    assert rate == 1
    assert type(rate) is float


def test_any_value_has_lists_and_numbers_of_python():
    value = {"a": (np.int32(1), [np.float64(0.5)]), "b": np.bool_(True)}
    found = checked_fields(Saved, {**GOOD, "anything": value})["anything"]
    assert found == {"a": [1, [0.5]], "b": True}
    assert type(found["b"]) is bool


def test_all_problems_are_told_at_once():
    values = {**GOOD, "name": 3, "shapes": {"x": [1, True], "y": [1.5]}}
    del values["anything"]
    with pytest.raises(InputError) as error:
        checked_fields(Saved, values)
    assert error.value.problems == (
        "name: expected a text, found 3",
        "shapes: expected a whole number, found True",
        "shapes: expected a whole number, found 1.5",
        "anything: missing",
    )


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("rate", 10**400, "expected a number, found a number of 1,329 bits"),
        ("rate", np.ones(2), "can only convert an array of size 1"),
        ("anything", [{1}], "expected a number, found {1}"),
        ("points", [{"step": 1, "value": 2.0}], "expected a list, found {'step': 1, 'value': 2.0}"),
        ("points", [[1]], r"expected \[step, value\], found \[1\]"),
        ("points", [[1, "2"]], "expected a number, found '2'"),
        ("points", {1, 2}, "expected a number, found {1, 2}"),
        ("points", {"a": 1}, "expected a list, found {'a': 1}"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_the_name_of_its_field(field, value, problem):
    with pytest.raises(InputError, match=f"^{field}: {problem}"):
        checked_fields(Saved, {**GOOD, field: value})
