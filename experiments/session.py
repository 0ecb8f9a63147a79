"""The start and the end of every script: configure JAX, and print errors without a traceback."""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from typing import Any

from absl import flags, logging

from experiments import flagfiles, interrupts, terminal
from fsl_jax.errors import InputError
from fsl_jax.outputs.checks import require_named, require_usable

REFUSED = 2
"""Exit status of a script that cannot use something it was given."""

UNREAD = 128 + signal.SIGPIPE
"""Exit status of a script whose output is no longer read, as shells report it."""

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
      InputError: not all of these three are given, and the environment does not define them; or
        the platform that the environment asks for has no device here.
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
    _require_devices()
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
    if num_processes is not None and process_id is not None and process_id >= num_processes:
        raise InputError(
            f"--process_id={process_id}: expected a number below --num_processes={num_processes}"
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


def _require_devices() -> None:
    """Raise an error if JAX cannot use the platform that it was told to use."""
    import jax

    try:
        jax.devices()
    # JAX raises an AssertionError without a text for a platform whose plugin is not installed.
    except (RuntimeError, AssertionError) as error:
        platforms = os.environ.get("JAX_PLATFORMS") or "that it chose"
        reason = str(error).partition("\n")[0] or "its plugin for JAX is not installed"
        raise InputError(
            f"JAX finds no device of the platform {platforms}: {reason}. "
            "Install JAX for this platform, or set JAX_PLATFORMS to another one, such as cpu"
        ) from error


def require_outputs(parsed: Iterable[Any]) -> None:
    """Raise an error if a flag that names an output names nothing that can be written.

    Args:
      parsed: the parsed dataclasses of a script.

    Raises:
      InputError: `--output` or `--page` is empty, too long, or of an unknown kind.
    """
    for values in parsed:
        for name in ("output", "page"):
            path = getattr(values, name, None)
            require_named(f"--{name}", path)
            require_usable(path or ".")


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
    return flagfiles.written(resolved)


@contextlib.contextmanager
def reporting_errors() -> Iterator[None]:
    """End the process with a message but no traceback if a user can correct the problem."""
    try:
        yield
        sys.stdout.flush()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        _leave(REFUSED)
    except KeyboardInterrupt:
        print("interrupted; what was written before is kept", file=sys.stderr, flush=True)
        # A normal exit could wait for threads, and Python may remember the interrupt as unhandled.
        os._exit(interrupts.STATUS)
    except BrokenPipeError:
        terminal.discard_output()
        _leave(UNREAD)
    except Exception as error:
        _report(error)


def _report(error: Exception) -> None:
    """End the process with a message for an error from outside, or raise it again."""
    from fsl_jax.training.fit_loop import Stopped

    if isinstance(error, Stopped):
        print(f"{error}. Give the same command again to go on.", file=sys.stderr)
        sys.exit(error.exit_status)
    if isinstance(error, OSError) and (error.filename or error.errno):
        print(f"error: {error}; what was written before is kept", file=sys.stderr)
    elif _has_joined():
        traceback.print_exception(error)
    else:
        raise error
    _leave(1)


def _has_joined() -> bool:
    """Return True if this is one of several processes; importing JAX would take a second."""
    return "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized()


def _leave(status: int) -> None:
    """End this process with a status, without waiting for the others."""
    if not _has_joined():
        sys.exit(status)
    import jax

    # A normal exit waits minutes for the others, which wait for a message from this process.
    sys.stdout.flush()
    sys.stderr.flush()
    if jax.process_index() == 0:
        # The first process serves the others, which may still have to report the same problem.
        time.sleep(SECONDS_FOR_OTHERS)
    os._exit(status)
