"""Open a study: its data, its test examples, its mesh, and a way to load its models."""

import contextlib
import functools
from collections.abc import Iterator

import jax
from etils import epath
from jax.sharding import Mesh
from rich.console import Console

from fsl_jax.data.examples import Dataset
from fsl_jax.data.sources import load_dataset
from fsl_jax.data.splits import few_shot_split, test_subset
from fsl_jax.processes import is_first
from fsl_jax.sharding import make_mesh
from fsl_jax.studies.planning.base_model import load_base
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.running.options import RunOptions
from fsl_jax.studies.running.progress import Progress
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.training.stopping import StopRequest


def load_study_data(config: StudyConfig) -> Dataset:
    """Load the data set that a config names."""
    return load_dataset(
        config.dataset, text_column=config.text_column, label_column=config.label_column
    )


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
    one_device = sizes == (1, 1, 1) and jax.process_count() == 1
    return None if one_device else make_mesh(*sizes)
