"""How long studies still take, of which some have been done and others only counted."""

from collections.abc import Mapping, Sequence

from etils import epath

from fsl_jax.studies.forecasting.estimate import program_operations
from fsl_jax.studies.forecasting.speed import assumed_speed
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.records.result_store import records_file
from fsl_jax.studies.study import Options, load_study_data, open_study

WORTH_MEASURING = 0.05
"""Share of all that there was to do; what takes less is mostly loading and tells no speed."""


def program_seconds(config: StudyConfig, output: epath.PathLike) -> dict[str, float]:
    """About how long each program of a study takes; nothing is compiled, run or written.

    Args:
      config: what the study asks.
      output: the study's directory.

    Returns:
      Seconds by the program's name, counted from operations at the speed that a dry run assumes.
    """
    dataset = load_study_data(config)
    with open_study(config, epath.Path(output), dataset, Options()) as study:
        speed = assumed_speed(study.mesh)
        return {
            planned.name: program_operations(study, planned) / speed
            for planned in plan_programs(config)
        }


def seconds_left(seconds: Mapping[str, float], output: epath.PathLike) -> float:
    """What is left of a study that may have been stopped.

    Args:
      seconds: of each program by name.
      output: the study's directory.

    Returns:
      The seconds of the programs that have not finished there.
    """
    directory = epath.Path(output)
    left = (name for name in seconds if not records_file(directory, name).exists())
    return sum((seconds[name] for name in left), 0.0)


class TimeLeft:
    """The time left of studies that are done one after the other.

    What the studies were taken to need is corrected by what those needed that have been done; one
    of which little was left does not count, since it takes seconds at any speed.
    """

    def __init__(self, assumed: Sequence[float]):
        """Begins with nothing done.

        Args:
          assumed: seconds that each study is taken to need from now on, in their order; 0 for one
            that has finished.
        """
        self._left = list(assumed)
        self._worth = WORTH_MEASURING * sum(assumed)
        self._assumed = self._measured = 0.0

    @property
    def measured(self) -> bool:
        """Whether a study has been done that tells the speed."""
        return self._assumed > 0

    @property
    def seconds(self) -> float:
        """How long the studies that have not been done will take."""
        factor = self._measured / self._assumed if self.measured else 1.0
        return factor * sum(self._left)

    def finish_one(self, seconds: float) -> None:
        """Says that the next study has been done.

        Args:
          seconds: how long it took.
        """
        assumed = self._left.pop(0)
        if assumed > self._worth:
            self._assumed += assumed
            self._measured += seconds
