"""Choose the number of runs that a program trains at once, so that it fits in memory."""

import math
from collections.abc import Callable

from fsl_jax.compilation import DoesNotFitError
from fsl_jax.errors import InputError
from fsl_jax.training.program import Program


def compile_largest(
    compile_size: Callable[[int], Program], runs: int, limit: int, multiple: int = 1
) -> Program:
    """Compile a program for as many runs at once as fit in memory.

    Args:
      compile_size: compiles a program for a number of runs.
      runs: the number of runs.
      limit: the memory that a program may take on a device, in bytes.
      multiple: the size must be a multiple of this, the size of the mesh's axis `runs`.

    Returns:
      The program. Its size divides the runs into groups that are as even as possible.

    Raises:
      InputError: not even the smallest program fits.
    """
    size = even_size(runs, runs + multiple - 1, multiple)
    while True:
        try:
            program = compile_size(size)
        except DoesNotFitError as error:
            needed, limit = error.needed, min(limit, error.available or limit)
            amount = f"needs {_gibibytes(needed)} GiB or more" if needed > limit else "does not fit"
            refusal = f"{amount}, and a device has {_gibibytes(error.available or limit)} GiB"
            advice = ", or take devices with more memory"
        else:
            if program.memory <= limit:
                return program
            needed, advice = program.memory, ", or raise --memory_limit_gib"
            refusal = f"needs {_gibibytes(needed)} GiB and {_gibibytes(limit)} GiB may be used"
        if size <= multiple:
            raise InputError(
                f"a program of {size} run(s) {refusal}: choose a smaller batch, shorter texts "
                "(--max_length), fewer shots or seeds where much is kept of each example (a soft "
                f"prompt after the text), or a smaller model{advice}"
            )
        # Memory grows about linearly with the runs, plus the part that they share. So a program of
        # the estimated size fits or is only a little too large. A compiler that gives up may name
        # no size, or one that leaves out a part.
        largest = size * limit // needed if needed > limit else size // 2
        size = even_size(runs, min(size - 1, largest), multiple)


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:.2f}"


def even_size(runs: int, largest: int, multiple: int) -> int:
    """Return the group size for the smallest number of groups, of sizes as even as possible.

    Args:
      runs: the number of runs.
      largest: the largest number of runs in a group.
      multiple: the size is a multiple of this, and at least this, even if `largest` is smaller.

    Returns:
      The size.
    """
    most = max(largest // multiple, 1) * multiple
    groups = math.ceil(runs / most)
    return math.ceil(runs / groups / multiple) * multiple
