"""The file `plan.json`: written before the first run, and followed when the study is resumed."""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from etils import epath

from fsl_jax.data.examples import Dataset
from fsl_jax.errors import InputError, problems_error
from fsl_jax.studies.planning.programs import PlannedProgram, PlannedRun
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.planning.written_method import WrittenMethod


def describe_plan(
    config: StudyConfig, environment: dict[str, Any], data: dict[str, Any]
) -> dict[str, Any]:
    """Return the parts of a plan that identify a study, as JSON values.

    Args:
      config: the study's config.
      environment: from `environment.describe`.
      data: from `describe_data`.

    Returns:
      The plan without its `programs`, which `describe_programs` returns.
    """
    plan = {"question": dataclasses.asdict(config), "environment": environment, "data": data}
    return json.loads(json.dumps(plan))


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """Return JSON values that identify the data of a study, including its hash."""
    return {
        "name": dataset.name,
        "sha256": dataset.sha256,
        "labels": list(dataset.labels),
        "train": len(dataset.train),
        "validation": len(dataset.validation),
        "test": len(dataset.test),
        "duplicates_removed": dataset.duplicates_removed,
    }


def read_plan(directory: epath.Path) -> dict[str, Any] | None:
    """Read the plan of the study in a directory.

    Args:
      directory: the study's directory; it need not exist.

    Returns:
      The plan as JSON values, or None if no study was started there.

    Raises:
      InputError: the directory has results but no plan.
    """
    path = directory / "plan.json"
    if path.exists():
        return json.loads(path.read_text())
    if directory.exists() and any(directory.glob("results.jsonl")):
        raise InputError(f"{directory} holds results without a plan: give another --output")
    return None


def describe_programs(programs: Iterable[PlannedProgram]) -> list[dict[str, Any]]:
    """Return the `programs` of a plan, with each method as its text."""
    return [_describe_program(program) for program in programs]


def read_programs(plan: Mapping[str, Any]) -> list[PlannedProgram]:
    """Return the programs of a plan from a file, with parsed methods."""
    parse = functools.cache(WrittenMethod.parse)
    return [_read_program(program, parse) for program in plan["programs"]]


def require_same_study(
    existing: Mapping[str, Any], asked: Mapping[str, Any], directory: epath.Path
) -> None:
    """Raise an error if a directory has another study.

    Args:
      existing: the plan in the directory.
      asked: the result of `describe_plan` for the flags and machine of this invocation.
      directory: the directory.

    Raises:
      InputError: the plans differ; the error lists all differences.
    """
    differences = [
        f"{part}.{name}: there {json.dumps(existing[part].get(name))}, "
        f"here {json.dumps(asked[part].get(name))}"
        for part in asked
        for name in sorted({*existing[part], *asked[part]})
        if existing[part].get(name) != asked[part].get(name)
    ]
    if differences:
        raise problems_error(
            f"{directory} holds a study that was started differently. Continue it with the same "
            "flags on the same kind of machine, or give another --output. The differences:",
            differences,
        )


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
        "memory": program.memory,
    }


def _read_program(
    described: Mapping[str, Any], parse: Callable[[str], WrittenMethod]
) -> PlannedProgram:
    values = dict(described)
    number, _, title = values.pop("name").partition("-")
    runs = tuple(
        PlannedRun(parse(run["method"]), run["seed"], run["learning_rate"])
        for run in values.pop("runs")
    )
    return PlannedProgram(number=int(number), title=title, runs=runs, **values)
