"""One table of the numbers that users may give; every number of a user is in it."""

import dataclasses
import json
import math

import numpy as np
import pytest

from experiments.evaluate import EvaluateFlags
from experiments.study import StudyFlags
from fsl_jax.adapt.methods.registry import METHODS
from fsl_jax.errors import InputError
from fsl_jax.ranges import SEED, in_range, range_of, range_problems, real, require_in_range, whole
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.running.options import RunOptions
from fsl_jax.training.fit_config import FitConfig

ODD = (
    *(0, 1, -1, 2, 8, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1.0, 0.9999999999, 2.0, 1e-30, 1e-40, 1e-50, 1e30, 1e38, 1e39, 1e300),
    *(math.nan, math.inf, -math.inf, True, "8", "", (), None),
)
NUMBERS = (int, float, int | None, float | None, tuple[int, ...])
FLAGS = [StudyConfig, RunOptions, FitConfig, StudyFlags, EvaluateFlags]
REQUIRED = {
    FitConfig: {"steps": 4, "batch_size": 4},
    EvaluateFlags: {"model": "m", "adapter": "a", "dataset": "d", "output": "o"},
}


def number_fields(dataclass):
    return [field for field in dataclasses.fields(dataclass) if field.type in NUMBERS]


def fits(field):
    """A test whether a value is of the type of a field; tests check types before all else."""
    kind = float if field.type in (float, float | None) else int
    return lambda value: type(value) is kind


@pytest.mark.parametrize("dataclass", [*FLAGS, *METHODS.values()])
def test_every_number_has_a_range_that_its_default_is_in(dataclass):
    for field in number_fields(dataclass):
        assert range_of(field) is not None, field.name
    assert not range_problems(dataclass(**REQUIRED.get(dataclass, {})))


@pytest.mark.parametrize("dataclass", [StudyConfig, RunOptions, FitConfig, *METHODS.values()])
def test_an_odd_number_is_refused_in_one_message_or_kept(dataclass):
    accepted = {}
    for field in number_fields(dataclass):
        for value in filter(fits(field), ODD):
            given = (value,) if field.name == "seeds" else value
            try:
                made = dataclass(**REQUIRED.get(dataclass, {}) | {field.name: given})
            except InputError:
                continue
            accepted[field.name] = accepted.get(field.name, 0) + 1
            assert getattr(made, field.name) == given, (field.name, value)
            if isinstance(value, float) and not range_of(field).on_host:
                assert np.isfinite(np.float32(value)), (field.name, value)
                assert (np.float32(value) == 0) == (value == 0), (field.name, value)
    assert accepted.keys() == {field.name for field in number_fields(dataclass)}


@pytest.mark.parametrize("name", ["steps", "batch_size", "learning_rates", "seeds", "patience"])
def test_a_plan_with_an_odd_number_is_refused_or_can_be_written(name):
    whole_only = name in ("seeds", "patience")
    for value in ODD:
        if whole_only and type(value) is not int:
            continue
        given = (value,) if name == "seeds" else value if name == "patience" else str(value)[:400]
        try:
            programs = plan_programs(StudyConfig(methods="lora", **{name: given}))
        except InputError:
            continue
        for run in programs[0].runs:
            json.dumps([run.seed, run.learning_rate, programs[0].steps], allow_nan=False)
            assert np.float32(run.learning_rate) > 0


@pytest.mark.parametrize(
    ("accepted", "words", "inside", "outside"),
    [
        (whole(1), "a whole number, 1 or more", [1, 2**63 - 1], [0, 1.0, 2**63, True, "1", None]),
        (whole(2, 4), "a whole number, from 2 to 4", [2, 4], [1, 5]),
        (SEED, f"a whole number, from 0 to {2**64 - 1:,}", [0, 2**64 - 1], [-1, 2**64]),
        (real(0, 1), "a finite number, from 0 to 1", [0, 1, 0.5], [1.5, -1e-9, math.nan, 1e-45]),
        (real(above=0), "a finite number, above 0", [1e-37, 3e38], [0, 1e-39, 1e39, math.inf]),
        (real(0, below=1), "a finite number, 0 or more and below 1", [0.0], [1 - 1e-12]),
        (real(), "a finite number", [-1.5, 0], [math.nan, 10**400]),
        (real(0, on_host=True), "a number, 0 or more", [math.inf, 1e-300], [math.nan, -1]),
        (real(maximum=3), "a finite number, at most 3", [-5, 3], [4]),
    ],
)
def test_a_range_says_what_it_holds(accepted, words, inside, outside):
    assert str(accepted) == words
    for value in inside:
        assert accepted.problem("x", value) == ""
    for value in outside:
        assert accepted.problem("x", value).startswith("x = ")


@dataclasses.dataclass(frozen=True)
class Sizes:
    width: int = in_range(1, whole(1))
    lengths: tuple[int, ...] = in_range((), whole(2))
    limit: int | None = in_range(None, whole(1))
    name: str = "any"


def test_all_numbers_out_of_range_are_listed_at_once():
    with pytest.raises(InputError) as caught:
        require_in_range(Sizes(0, (1, 2, 10**5000)), "sizes out of range:")
    assert str(caught.value).splitlines() == [
        "sizes out of range:",
        "  - width = 0: expected a whole number, 1 or more",
        "  - lengths = 1: expected a whole number, 2 or more",
        "  - lengths = a number of 16,610 bits: expected a whole number, 2 or more, of 64 bits at "
        "most",
    ]
    require_in_range(Sizes(), "sizes out of range:")


def test_one_number_out_of_range_is_one_line_that_tells_of_rounding():
    with pytest.raises(InputError) as caught:
        require_in_range(Sizes(width=0))
    assert str(caught.value) == "values out of range: width = 0: expected a whole number, 1 or more"
    assert caught.value.problems == ("width = 0: expected a whole number, 1 or more",)
    problem = real(above=0).problem("rate", 1e-50)
    assert problem == "rate = 1e-50: expected a finite number, above 0; in float32 it is 0"
    assert real(0, below=1).problem("x", 1 - 1e-12).endswith("; in float32 it is 1")
    assert real(0).problem("x", -1e-3) == "x = -0.001: expected a finite number, 0 or more"


def test_numbers_are_read_from_texts():
    assert (whole(1).read("7"), real().read("7")) == (7, 7.0)
    with pytest.raises(ValueError, match="seven"):
        real().read("seven")
