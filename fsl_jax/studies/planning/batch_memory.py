"""The memory for the order in which the runs of a program see their examples."""

from collections.abc import Iterable

import psutil

from fsl_jax.errors import problems_error
from fsl_jax.studies.planning.programs import PlannedProgram

_BYTES = 3 * 3 * 4
"""Bytes of an example in a batch.

These are its number, place and weight, which are drawn, stacked and placed on the device.
"""


def require_batch_memory(programs: Iterable[PlannedProgram]) -> None:
    """Raise an error if the batches of a program do not fit into the memory of this machine.

    Args:
      programs: the planned programs.

    Raises:
      InputError: the error lists all such programs.
    """
    memory = psutil.virtual_memory().total
    problems = [
        f"{planned.name}: {planned.steps:,} steps of {planned.batch_size:,} examples in "
        f"{len(planned.runs)} runs take {_batch_bytes(planned) / 2**30:,.1f} GiB"
        for planned in programs
        if _batch_bytes(planned) > memory
    ]
    if problems:
        summary = (
            f"the order of the examples does not fit into the {memory / 2**30:,.1f} GiB of this "
            "machine. Choose fewer --steps or a smaller --batch_size:"
        )
        raise problems_error(summary, problems)


def _batch_bytes(planned: PlannedProgram) -> int:
    return _BYTES * planned.steps * planned.batch_size * len(planned.runs)
