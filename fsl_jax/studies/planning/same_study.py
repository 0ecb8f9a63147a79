"""Require that a directory has the study that is asked for."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath

from fsl_jax.errors import problems_error
from fsl_jax.studies.planning.plan_file import is_current
from fsl_jax.studies.planning.study_config import StudyConfig

_SOURCE_OF_DATA = ("dataset", "columns", "text_column", "label_column", "encoding", "separator")
"""The fields of a config that say where the data are; their hash decides which data they are."""


def require_same_study(
    existing: Mapping[str, Any], asked: Mapping[str, Any], directory: epath.Path
) -> None:
    """Raise an error if a directory has another study.

    The same data under another path are the same study.

    Args:
      existing: the plan in the directory.
      asked: the result of `describe_plan` for the flags and machine of this invocation.
      directory: the directory.

    Raises:
      InputError: the plans differ; the error lists all differences.
    """
    differences = list(_differences(existing, asked))
    if differences:
        raise problems_error(
            f"{directory} holds a study that was started differently. Continue it with the same "
            "flags on the same kind of machine, or give another --output. The differences:",
            differences,
        )


def as_begun(config: StudyConfig, existing: Mapping[str, Any]) -> StudyConfig:
    """Return the config with the data's name and columns as they were when the study began.

    So all records of a study name the same data set, although it may have moved since.

    Args:
      config: the config of this invocation.
      existing: the plan of the same study.

    Returns:
      The config to continue with.
    """
    question = existing["question"]
    return dataclasses.replace(config, **{name: question[name] for name in _SOURCE_OF_DATA})


def _differences(existing: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    ignored = set()
    if existing["data"].get("sha256") == asked["data"]["sha256"]:
        ignored = {("question", name) for name in _SOURCE_OF_DATA} | {("data", "name")}
    for part in asked:
        # Flags that came later are not in the plan of an earlier version.
        names = {*existing[part], *asked[part]} if is_current(existing) else {*existing[part]}
        for name in sorted(names):
            begun, now = existing[part].get(name), asked[part].get(name)
            if begun != now and (part, name) not in ignored:
                yield f"{part}.{name}: there {json.dumps(begun)}, here {json.dumps(now)}"
