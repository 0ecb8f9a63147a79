"""The file `plan.json`: written before the first run, and followed when the study is resumed."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from etils import epath

from fsl_jax.data.examples import Dataset
from fsl_jax.errors import InputError
from fsl_jax.files import read_bounded
from fsl_jax.json_reader import MAX_BYTES
from fsl_jax.sealed_json import decode_sealed, write_sealed
from fsl_jax.studies.planning.program_entries import describe_programs, read_programs
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.validation import checked_fields

PLAN_FILE = "plan.json"

FORMAT = 4
"""The version of the files of a study.

Version 1, of fsl_jax 0.1.0, had no hashes. In version 2, of fsl_jax 0.2.0, each example was padded.
Version 3, of fsl_jax 0.3.0, knew classification alone.
"""

_ADVICE = "Put it back from a copy, or give another --output."


def describe_plan(
    config: StudyConfig, environment: dict[str, Any], data: dict[str, Any]
) -> dict[str, Any]:
    """Return the parts of a plan that identify a study, as JSON values.

    Args:
      config: the study's config.
      environment: from `environment.describe`.
      data: from `describe_data`.

    Returns:
      The plan without what is known only after the models were loaded; see `write_plan`.
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


def write_plan(
    directory: epath.Path,
    identity: Mapping[str, Any],
    models: Mapping[str, Any],
    programs: Iterable[PlannedProgram],
    baselines: Mapping[str, float] | None = None,
) -> None:
    """Write the plan of a study, sealed so that any change is noticed.

    Args:
      directory: the study's directory.
      identity: from `describe_plan`.
      models: for each model its hashes, from `describe_base`.
      programs: the compiled programs.
      baselines: the metric of each trivial answer, in [0, 1]; see `trivial_answers`.

    Raises:
      OSError: the file could not be written.
    """
    described = {"models": dict(models), "programs": describe_programs(programs)}
    described["baselines"] = dict(baselines or {})
    write_sealed(directory / PLAN_FILE, {"format": FORMAT, **identity, **described})


def read_plan(directory: epath.Path) -> dict[str, Any] | None:
    """Read the plan of the study in a directory.

    Args:
      directory: the study's directory; it need not exist.

    Returns:
      The plan as JSON values, or None if no study was started there. It may be of an earlier
      version; see `is_current` and `is_hashed`.

    Raises:
      InputError: the plan has changed since it was written or is of an unknown version, or the
        directory has results but no plan.
    """
    path = directory / PLAN_FILE
    if not path.exists():
        written = ("results.jsonl", "timings.jsonl", "programs/*.jsonl")
        if directory.exists() and any(any(directory.glob(pattern)) for pattern in written):
            raise InputError(f"{directory} holds results without a plan. {_ADVICE}")
        return None
    plan = decode_plan(read_bounded(path, MAX_BYTES), path)
    if plan.get("format", 1) not in range(1, FORMAT + 1):
        raise version_error(directory, plan)
    return plan


def decode_plan(data: bytes, source: object) -> dict[str, Any]:
    """Return the plan in the contents of `plan.json`.

    Args:
      data: the contents.
      source: the file, for the error.

    Returns:
      The plan, of any version.

    Raises:
      InputError: the contents have changed since they were written, or are no plan.
    """
    plan = decode_sealed(data, source, _ADVICE, required=False)
    fields: type = _FirstPlan
    if is_hashed(plan):
        plan, fields = decode_sealed(data, source, _ADVICE), _Plan
    try:
        checked_fields(fields, plan)
        read_programs(plan["programs"])
    except InputError as error:
        raise InputError(f"{source}: not the plan of a study: {error}. {_ADVICE}") from error
    return plan


def is_current(plan: Mapping[str, Any]) -> bool:
    """Return True if this version of fsl_jax can continue the study of a plan."""
    return plan.get("format") == FORMAT


def is_hashed(plan: Mapping[str, Any]) -> bool:
    """Return True if a study has hashes of its files; False for a plan of fsl_jax 0.1.0."""
    return plan.keys() != {field.name for field in dataclasses.fields(_FirstPlan)}


def version_error(directory: epath.Path, plan: Mapping[str, Any]) -> InputError:
    """Return the error for a study that another version of fsl_jax began and did not finish."""
    versions = plan["environment"].get("versions")
    version = versions.get("fsl_jax") if isinstance(versions, dict) else None
    return InputError(
        f"{directory} holds a study that another version of fsl_jax began: {version}, whose files "
        f"have format {plan.get('format', 1)}; this version continues format {FORMAT}. Finish the "
        "study with that version, or give another --output."
    )


@dataclasses.dataclass(frozen=True)
class _FirstPlan:
    question: dict[str, Any]
    environment: dict[str, Any]
    data: dict[str, Any]
    programs: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class _Plan(_FirstPlan):
    format: int
    models: dict[str, dict[str, Any]]
