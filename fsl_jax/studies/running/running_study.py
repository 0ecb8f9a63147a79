"""What the programs of a study share while it runs."""

import dataclasses
from collections.abc import Callable
from typing import Any

from etils import epath
from jax.sharding import Mesh

from fsl_jax.data.examples import Dataset, Example
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.processes import gather, is_first
from fsl_jax.studies.planning.environment import versions
from fsl_jax.studies.planning.plan import PlannedProgram, PlannedRun
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.running.progress import Progress
from fsl_jax.training.loop import Stopped
from fsl_jax.training.stopping import StopRequest


@dataclasses.dataclass(frozen=True, eq=False)
class RunningStudy:
    """The data, the models and the directory of a study.

    Attributes:
      config: what it asks.
      directory: where it writes.
      dataset: the data.
      test: the test examples.
      mesh: the mesh, if there are several devices.
      progress: where progress is shown.
      stop: whether this process was asked to stop.
      checkpoint_seconds: at least this long between two checkpoints.
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

    def stop_status(self) -> int:
        """What to exit with where any process was asked to stop, and 0 where none was.

        All processes call this together, and stop together.
        """
        return max(gather(self.stop.exit_status))

    def stop_if_asked(self, what: str) -> None:
        """Ends the study where a process was asked to stop; all call this together.

        Args:
          what: what was stopped, and what becomes of it.

        Raises:
          Stopped: it was.
        """
        if status := self.stop_status():
            raise Stopped(what, status)

    @property
    def writes(self) -> bool:
        """Whether this process writes files; of several only the first does."""
        return is_first()


def make_record(
    study: RunningStudy, planned: PlannedProgram, run: PlannedRun, **result: Any
) -> RunRecord:
    """The record of a run with every setting.

    Args:
      study: the study.
      planned: the run's program.
      run: the run.
      **result: what came of it: the fields of `RunRecord` that are not settings.

    Returns:
      The record.
    """
    config = study.config
    chosen = result.pop("settings", {})
    shared = "dropout warmup clip_norm evaluate_every patience rematerialize dtype".split()
    trained = {name: getattr(config, name) for name in shared} if planned.steps else {}
    return RunRecord(
        method=run.method,
        model=planned.model,
        dataset=config.dataset,
        metric="accuracy",
        seed=run.seed,
        shots=config.shots,
        learning_rate=run.learning_rate,
        steps=planned.steps,
        batch_size=planned.batch_size or None,
        weight_decay=config.weight_decay if planned.steps else None,
        settings={
            **trained,
            "attention": config.attention,
            "matmul_precision": config.matmul_precision,
            **chosen,
        },
        model_sha256=study.load(planned.model).sha256,
        versions=versions(),
        **result,
    )
