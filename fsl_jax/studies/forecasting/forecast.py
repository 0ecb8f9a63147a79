"""Forecast the remaining time of a series of studies, some of which may have finished."""

from collections.abc import Mapping, Sequence

from etils import epath

from fsl_jax.studies.forecasting.estimate import program_operations
from fsl_jax.studies.forecasting.speed import assumed_speed
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.records.result_store import records_file
from fsl_jax.studies.running.opening import load_study_data, open_study
from fsl_jax.studies.running.options import RunOptions

WORTH_MEASURING = 0.05
"""The share of the total time that a study must take for its speed to count.

A shorter one spends most of its time on loading models, so it tells little about the speed.
"""


def program_seconds(
    config: StudyConfig, output: epath.PathLike, options: RunOptions
) -> dict[str, float]:
    """Estimate the time of each program of a study, without compiling, running or writing.

    Args:
      config: the study's config.
      output: the study's directory.
      options: the options of this invocation.

    Returns:
      Seconds by the program's name, counted from operations at the speed that a dry run assumes.
    """
    dataset = load_study_data(config, options)
    with open_study(config, epath.Path(output), dataset, options) as study:
        speed = assumed_speed(study.mesh)
        return {
            planned.name: program_operations(study, planned) / speed
            for planned in plan_programs(config)
        }


def seconds_left(seconds: Mapping[str, float], output: epath.PathLike) -> float:
    """Estimate the remaining time of a study, which may have been started and stopped.

    Args:
      seconds: the seconds of each program by name.
      output: the study's directory.

    Returns:
      The total seconds of the programs that have not finished in that directory.
    """
    directory = epath.Path(output)
    left = (name for name in seconds if not records_file(directory, name).exists())
    return sum((seconds[name] for name in left), 0.0)


class TimeLeft:
    """The time left of studies that run one after the other.

    The assumed times are corrected by the measured times of finished studies. A study that had
    little left to do does not count, since it takes a few seconds at any speed.
    """

    def __init__(self, assumed: Sequence[float]):
        """Start before any study is done.

        Args:
          assumed: the assumed seconds of each study, in order; 0 for a finished study.
        """
        self._left = list(assumed)
        self._worth = WORTH_MEASURING * sum(assumed)
        self._assumed = self._measured = 0.0

    @property
    def measured(self) -> bool:
        """True once a finished study has shown the speed."""
        return self._assumed > 0

    @property
    def seconds(self) -> float:
        """The seconds that the remaining studies will take."""
        factor = self._measured / self._assumed if self.measured else 1.0
        return factor * sum(self._left)

    def finish_one(self, seconds: float) -> None:
        """Record that the next study is done.

        Args:
          seconds: the time that it took.
        """
        assumed = self._left.pop(0)
        if assumed > self._worth:
            self._assumed += assumed
            self._measured += seconds
