"""A running study: the data, the models and the devices that its programs share."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from etils import epath
from jax.sharding import Mesh

from fsl_jax.data.examples import Dataset, Example
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.processes import gather, is_first
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.running.progress import Progress
from fsl_jax.tasks.registry import find_task
from fsl_jax.tasks.task import Task
from fsl_jax.training.fit_loop import Stopped
from fsl_jax.training.stopping import StopRequest


@dataclasses.dataclass(frozen=True, eq=False)
class RunningStudy:
    """The data, the models, the devices and the directory of a study.

    Attributes:
      config: the study's config.
      directory: the directory to which it writes.
      dataset: the data.
      test: the test examples.
      mesh: the mesh, if there are several devices.
      progress: shows the progress.
      stop: records whether this process was asked to stop.
      checkpoint_seconds: the minimum time between two checkpoints.
      load: loads a model by name, once.
    """

    config: StudyConfig
    directory: epath.Path
    dataset: Dataset
    test: tuple[Example, ...]
    mesh: Mesh | None
    progress: Progress
    stop: StopRequest
    checkpoint_seconds: float
    load: Callable[[str], Pretrained]

    @property
    def task(self) -> Task:
        """The task of the examples."""
        return find_task(self.dataset.task)

    def score(self, answers: Sequence[Any]) -> float:
        """Return the headline metric of answers to the test examples."""
        return self.task.score(answers, self.test)[self.task.metrics[0].name]

    def stop_status(self) -> int:
        """Return the exit status if any process was asked to stop, or 0.

        All processes must call this together, and then stop together.
        """
        return max(gather(self.stop.exit_status))

    def stop_if_asked(self, message: str) -> None:
        """End the study if a process was asked to stop; all processes must call this together.

        Args:
          message: says where the study stopped, and whether that part must be done again.

        Raises:
          Stopped: a process was asked to stop.
        """
        if status := self.stop_status():
            raise Stopped(message, status)

    @property
    def writes(self) -> bool:
        """True if this process writes files, which only the first process does."""
        return is_first()
