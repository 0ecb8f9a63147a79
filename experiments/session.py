"""What every script does first and last: settings of JAX, and errors without a traceback."""

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Iterator

from absl import flags, logging

REFUSED = 2
"""Exit status where something that was given cannot be used."""

SECONDS_FOR_OTHERS = 3
"""How long the first of several processes that ends with an error waits before it does."""


def start(
    distributed: bool,
    deterministic: bool,
    matmul_precision: str,
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Makes the settings of JAX and joins the other processes.

    Args:
      distributed: whether this is one of several processes.
      deterministic: whether a GPU has to give the same bits in each invocation.
      matmul_precision: of matrix products.
      coordinator_address: host and port of the first process; the three that follow are as the
        environment of a TPU pod, Slurm or Kubernetes tells unless they are given.
      num_processes: how many processes there are.
      process_id: the number of this one, from 0.

    Raises:
      InputError: the three are not given together, or with nothing to tell them.
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
    """Joins the other processes, of which the environment or the arguments tell."""
    import jax

    from fsl_jax.errors import InputError

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
    """The flags of a script as they were resolved, in the form of a flagfile.

    Args:
      flag: the name of one of the script's flags.

    Returns:
      One flag a line.
    """
    # A script that is run has another module name than its file: absl knows which.
    module = str(flags.FLAGS.find_module_defining_flag(flag))
    resolved = flags.FLAGS.flags_by_module_dict()[module]
    lines = (flag.serialize() for flag in sorted(resolved, key=lambda flag: flag.name))
    return "".join(f"{line}\n" for line in lines if line)


@contextlib.contextmanager
def reporting_errors() -> Iterator[None]:
    """Ends the process with a message and no traceback where a user can mend what is wrong."""
    import jax

    from fsl_jax.errors import InputError
    from fsl_jax.training.loop import Stopped

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
    """Ends this process with a status, whatever the others are doing."""
    import jax

    if not jax.distributed.is_initialized():
        sys.exit(status)
    # The usual end waits minutes for the others, and they wait for what this one owes them.
    sys.stdout.flush()
    sys.stderr.flush()
    if jax.process_index() == 0:
        # It serves the others, who may be about to report the same fault.
        time.sleep(SECONDS_FOR_OTHERS)
    os._exit(status)
