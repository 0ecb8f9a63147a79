"""The programs in `plan.json`, as JSON values."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.programs import PlannedProgram, PlannedRun
from fsl_jax.studies.planning.written_method import WrittenMethod
from fsl_jax.validation import checked_fields


def describe_programs(programs: Iterable[PlannedProgram]) -> list[dict[str, Any]]:
    """Return the `programs` of a plan, with each method as its text."""
    return [_describe_program(program) for program in programs]


def read_programs(entries: Iterable[Mapping[str, Any]]) -> list[PlannedProgram]:
    """Return the programs in the `programs` of a plan, with parsed methods.

    Args:
      entries: JSON values from a file.

    Returns:
      The programs.

    Raises:
      InputError: the values are not programs.
    """
    parse = functools.cache(WrittenMethod.parse)
    return [_read_program(program, parse) for program in entries]


@dataclasses.dataclass(frozen=True)
class _Program:
    name: str
    model: str
    formulation: str
    steps: int
    batch_size: int
    runs: list[dict[str, Any]]
    size: int
    steps_per_dispatch: int
    tokens: int
    memory: int
    # Plans of earlier versions lack these.
    row_length: int = 0
    padding: float = 0.0


@dataclasses.dataclass(frozen=True)
class _Run:
    method: str
    seed: int
    learning_rate: float | None


def _describe_program(program: PlannedProgram) -> dict[str, Any]:
    return {
        "name": program.name,
        "model": program.model,
        "formulation": program.formulation,
        "steps": program.steps,
        "batch_size": program.batch_size,
        "runs": [
            {"method": run.method_text, "seed": run.seed, "learning_rate": run.learning_rate}
            for run in program.runs
        ],
        "size": program.size,
        "steps_per_dispatch": program.steps_per_dispatch,
        "tokens": program.tokens,
        "row_length": program.row_length,
        "padding": program.padding,
        "memory": program.memory,
    }


def _read_program(
    described: Mapping[str, Any], parse: Callable[[str], WrittenMethod]
) -> PlannedProgram:
    values = checked_fields(_Program, described)
    name = re.fullmatch(r"(\d{1,9})-([^/]+)", values.pop("name"))
    if name is None or not values["runs"]:
        raise InputError("a program has no runs, or its name is not a number with a title")
    runs = (_Run(**checked_fields(_Run, run)) for run in values.pop("runs"))
    planned = tuple(PlannedRun(parse(run.method), run.seed, run.learning_rate) for run in runs)
    return PlannedProgram(number=int(name[1]), title=name[2], runs=planned, **values)
