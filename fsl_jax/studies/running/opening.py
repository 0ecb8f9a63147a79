"""Open a study: its data, its test examples, its mesh, and a way to load its models."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import jax
from absl import logging
from etils import epath
from jax.sharding import Mesh
from rich.console import Console

from fsl_jax.data.examples import Dataset
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.splits import test_subset
from fsl_jax.errors import InputError
from fsl_jax.outputs.checks import require_parts
from fsl_jax.outputs.lock import hold_directory, require_free
from fsl_jax.processes import in_first, is_first
from fsl_jax.sharding import make_mesh, unused_devices
from fsl_jax.studies.planning.base_model import load_base
from fsl_jax.studies.planning.plan_file import PLAN_FILE, read_plan
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.records.hashed_files import (
    FLAGS_FILE,
    HASHES_FILE,
    REPORT_FILE,
    RESULTS_FILE,
    SUMMARY_FILE,
    TIMINGS_FILE,
)
from fsl_jax.studies.running.options import RunOptions
from fsl_jax.studies.running.progress import Progress
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.tasks.given_columns import parse_columns
from fsl_jax.tasks.loading import load_dataset
from fsl_jax.tasks.splitting import few_shot_split
from fsl_jax.training.stopping import StopRequest


def load_study_data(config: StudyConfig, options: RunOptions) -> Dataset:
    """Load the data set that a config names."""
    return load_dataset(
        config.dataset,
        config.task,
        parse_columns(config.columns),
        text_column=config.text_column,
        label_column=config.label_column,
        skip_empty=config.skip_empty,
        normalize_labels=config.normalize_labels,
        options=ReadOptions(
            config.encoding or None,
            config.separator or None,
            max_unfolded=options.max_unfolded or None,
            max_rows=config.max_rows,
        ),
    )


FOLDERS = ("adapters", "checkpoints", "events", "programs")
"""The directories inside that of a study."""

FILES = (
    PLAN_FILE,
    FLAGS_FILE,
    TIMINGS_FILE,
    RESULTS_FILE,
    SUMMARY_FILE,
    REPORT_FILE,
    HASHES_FILE,
)
"""The files in the directory of a study, apart from the pictures."""


def require_free_output(output: epath.PathLike) -> None:
    """Raise an error if another process writes to a study's directory; all must call this together.

    Args:
      output: the directory, as the user wrote it.

    Raises:
      InputError: another process writes to it.
    """
    in_first(lambda: require_free(output))


@contextlib.contextmanager
def hold_output(output: epath.PathLike, existing: dict[str, Any] | None) -> Iterator[None]:
    """Keep other processes from writing to a study's directory; all must call this together.

    The first process holds the lock for all.

    Args:
      output: the directory, as the user wrote it.
      existing: the plan that it had; None if no study was started there.

    Yields:
      Nothing.

    Raises:
      InputError: another process writes to the directory, has just written to it, or it cannot be
        written to.
    """

    def hold() -> None:
        stack.enter_context(hold_directory(output))
        require_parts(output, FOLDERS, FILES)
        if read_plan(epath.Path(output)) != existing:
            raise InputError(
                f"{output}: another process has just written to it. Give the same command again"
            )

    with contextlib.ExitStack() as stack:
        in_first(hold)
        yield


@contextlib.contextmanager
def open_study(
    config: StudyConfig, directory: epath.Path, dataset: Dataset, options: RunOptions
) -> Iterator[RunningStudy]:
    """Prepare the parts that the programs of a study share.

    Inside the `with` block, progress is shown, and a signal asks the study to stop.

    Args:
      config: the study's config.
      directory: the directory that the study writes to.
      dataset: the data; all splits are drawn once, to detect early if there are too few examples.
      options: the options of this invocation.

    Yields:
      The study.
    """
    for seed in config.seeds:
        few_shot_split(dataset, config.shots, seed)
    mesh = _make_study_mesh(config)
    load = functools.partial(load_base, mesh=mesh, dtype=config.dtype, attention=config.attention)
    with Progress(None if is_first() else Console(quiet=True)) as progress, StopRequest() as stop:
        yield RunningStudy(
            config=config,
            directory=directory,
            dataset=dataset,
            test=test_subset(dataset, config.max_test),
            mesh=mesh,
            progress=progress,
            stop=stop,
            checkpoint_seconds=options.checkpoint_seconds,
            load=functools.cache(load),
        )


def _make_study_mesh(config: StudyConfig) -> Mesh | None:
    """Make the mesh that a config asks for; None for one device."""
    sizes = (config.runs_axis, config.batch_axis, config.model_axis)
    if is_first() and (warning := unused_devices(*sizes)):
        logging.log_first_n(logging.WARNING, warning, 1)
    one_device = sizes == (1, 1, 1) and jax.process_count() == 1
    return None if one_device else make_mesh(*sizes)
