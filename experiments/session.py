"""The start and the end of every script: configure JAX, and print errors without a traceback."""

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Iterator

from absl import flags, logging

from fsl_jax.errors import InputError

REFUSED = 2
"""Exit status of a script that cannot use something it was given."""

SECONDS_FOR_OTHERS = 3
"""Seconds that the first of several processes waits before it ends with an error."""


def start(
    distributed: bool = False,
    deterministic: bool = False,
    matmul_precision: str = "default",
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Configure JAX and join the other processes.

    Args:
      distributed: whether this is one of several processes.
      deterministic: whether a GPU must give bitwise equal results in each invocation.
      matmul_precision: the precision of matrix products, as JAX names it.
      coordinator_address: host and port of the first process. This and the next two arguments may
        be left out where the environment defines them: on a TPU pod, Slurm or Kubernetes.
      num_processes: the number of processes.
      process_id: the number of this process, from 0.

    Raises:
      InputError: not all of these three are given, and the environment does not define them.
    """
    logging.set_verbosity(logging.INFO if "--v=1" in sys.argv else logging.WARNING)
    if deterministic:
        chosen = "--xla_gpu_deterministic_ops=true"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {chosen}".strip()
    import jax

    from fsl_jax.compilation import enable_compilation_cache

    if matmul_precision != "default":
        jax.config.update("jax_default_matmul_precision", matmul_precision)
    _join(distributed, coordinator_address, num_processes, process_id)
    enable_compilation_cache()


def _join(
    distributed: bool, address: str | None, num_processes: int | None, process_id: int | None
) -> None:
    """Join the other processes, which the arguments or the environment define."""
    import jax

    given = [value is not None for value in (address, num_processes, process_id)]
    if any(given) and not (all(given) and distributed):
        raise InputError(
            "--coordinator_address, --num_processes and --process_id go together, and with "
            "--distributed"
        )
    if not distributed:
        return
    try:
        jax.distributed.initialize(address, num_processes, process_id)
    except ValueError as error:
        raise InputError(
            f"--distributed: {error} The environment does not tell, so give "
            "--coordinator_address=host:port, --num_processes and --process_id"
        ) from error


def flagfile(flag: str) -> str:
    """Return the flags of a script as a flagfile, with their current values.

    Args:
      flag: the name of one of the script's flags.

    Returns:
      A line for each flag, in alphabetical order.
    """
    # A running script has another module name than its file. absl knows the name.
    module = str(flags.FLAGS.find_module_defining_flag(flag))
    resolved = flags.FLAGS.flags_by_module_dict()[module]
    lines = (flag.serialize() for flag in sorted(resolved, key=lambda flag: flag.name))
    return "".join(f"{line}\n" for line in lines if line)


@contextlib.contextmanager
def reporting_errors() -> Iterator[None]:
    """End the process with a message but no traceback if a user can correct the problem."""
    import jax

    from fsl_jax.training.fit_loop import Stopped

    try:
        yield
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        _leave(REFUSED)
    except Stopped as stopped:
        print(f"{stopped}. Give the same command again to go on.", file=sys.stderr)
        sys.exit(stopped.exit_status)
    except Exception as error:
        if isinstance(error, OSError) and (error.filename or error.errno):
            print(f"error: {error}; what was written before is kept", file=sys.stderr)
        elif jax.distributed.is_initialized():
            traceback.print_exc()
        else:
            raise
        _leave(1)


def _leave(status: int) -> None:
    """End this process with a status, without waiting for the others."""
    import jax

    if not jax.distributed.is_initialized():
        sys.exit(status)
    # A normal exit waits minutes for the others, which wait for a message from this process.
    sys.stdout.flush()
    sys.stderr.flush()
    if jax.process_index() == 0:
        # The first process serves the others, which may still have to report the same problem.
        time.sleep(SECONDS_FOR_OTHERS)
    os._exit(status)
