"""Options of an invocation, which do not change the results of a study."""

import dataclasses

from fsl_jax.ranges import in_range, real, require_in_range, whole
from fsl_jax.studies.planning.flag_field import flag_field


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options for carrying out a study, which do not change its results.

    Attributes:
      checkpoint_seconds: the minimum time between two checkpoints.
      memory_limit: the bytes that a program may use on a device; 0 for most of the device's memory.
      max_unfolded: the bytes to which a compressed file of data may unfold; 0 to go by its size.
      command: the command that the report names.
      flagfile: the resolved flags, which are written beside the results.

    Raises:
      InputError: a number is out of its range.
    """

    checkpoint_seconds: float = flag_field(
        "At least this long between two checkpoints.", 30.0, real(0, on_host=True)
    )
    memory_limit: int = in_range(0, whole(0))
    max_unfolded: int = in_range(0, whole(0))
    command: str = ""
    flagfile: str = ""

    def __post_init__(self):
        require_in_range(self, "options out of range:")
