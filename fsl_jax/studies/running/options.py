"""Options of an invocation, which do not change the results of a study."""

import dataclasses

from fsl_jax.studies.planning.flag_field import flag_field


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options for carrying out a study, which do not change its results.

    Attributes:
      checkpoint_seconds: the minimum time between two checkpoints.
      memory_limit: the bytes that a program may use on a device; 0 for most of the device's memory.
      command: the command that the report names.
      flagfile: the resolved flags, which are written beside the results.
    """

    checkpoint_seconds: float = flag_field("At least this long between two checkpoints.", 30.0)
    memory_limit: int = 0
    command: str = ""
    flagfile: str = ""
