"""Choose the number of runs that a program trains at once, so that it fits in memory."""

import math
from collections.abc import Callable

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
        program = compile_size(size)
        if program.memory <= limit:
            return program
        if size <= multiple:
            raise InputError(
                f"a program of {size} run(s) needs {program.memory / 2**30:.2f} GiB and "
                f"{limit / 2**30:.2f} GiB may be used: choose a smaller batch, shorter texts "
                "(--max_length), fewer shots or seeds where much is kept of each example (a soft "
                "prompt after the text), or a smaller model, or raise --memory_limit_gib"
            )
        # Memory grows about linearly with the runs, plus the part that they share. So a program of
        # the estimated size fits or is only a little too large.
        size = even_size(runs, min(size - 1, size * limit // program.memory), multiple)


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
