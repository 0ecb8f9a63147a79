"""Check that the adapters of finished runs are still as they were saved."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from etils import epath

from fsl_jax.adapt.files.adapter_layout import RECORD
from fsl_jax.adapt.files.adapter_record import read_record
from fsl_jax.errors import InputError
from fsl_jax.files import is_plain_file, sha256
from fsl_jax.studies.records.records import RunRecord


def adapter_problems(directory: epath.Path, records: Iterable[RunRecord]) -> list[str]:
    """List the adapters that are missing or damaged, without loading them.

    Args:
      directory: the study's directory.
      records: the records of finished runs.

    Returns:
      A line for each such adapter, which begins with its directory.
    """
    adapters = dict.fromkeys(record.adapter for record in records if record.adapter)
    problems = {adapter: _problem(directory, adapter) for adapter in adapters}
    return [f"{adapter}: {problem}" for adapter, problem in problems.items() if problem]


def _problem(directory: epath.Path, adapter: str) -> str:
    """Return the problem with an adapter; empty if there is none."""
    if not adapter.startswith("adapters/") or ".." in PurePosixPath(adapter).parts:
        return "not a directory of this study"
    path = directory / adapter
    if not path.exists():
        return "missing"
    try:
        record = read_record(path / RECORD)
    except InputError as error:
        return f"damaged: {error}".replace("\n", " ")
    if record is None:
        return f"{RECORD} is missing"
    changed = [
        name
        for name, digest in record.sha256.items()
        if not is_plain_file(path / name) or sha256(path / name) != digest
    ]
    return f"missing or changed: {', '.join(changed)}" if changed else ""
