"""What every script does first and last: settings of JAX, and errors without a traceback."""

import contextlib
import os
import sys
from collections.abc import Iterator

from absl import flags, logging

REFUSED = 2
"""Exit status where something that was given cannot be used."""


def start(distributed: bool, deterministic: bool, matmul_precision: str) -> None:
    """Makes the settings of JAX and joins the other processes.

    Args:
      distributed: whether this is one of several processes, as the cluster's environment tells.
      deterministic: whether a GPU has to give the same bits in each invocation.
      matmul_precision: of matrix products.
    """
    logging.set_verbosity(logging.INFO if "--v=1" in sys.argv else logging.WARNING)
    if deterministic:
        chosen = "--xla_gpu_deterministic_ops=true"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {chosen}".strip()
    import jax

    from fsl_jax.compilation import enable_compilation_cache

    if matmul_precision != "default":
        jax.config.update("jax_default_matmul_precision", matmul_precision)
    if distributed:
        jax.distributed.initialize()
    enable_compilation_cache()


def is_first() -> bool:
    """Whether this process is the one that prints and writes."""
    import jax

    return jax.process_index() == 0


def flagfile(flag: str) -> str:
    """The flags of a script as they were resolved, in the form of a flagfile.

    Args:
      flag: the name of one of the script's flags.

    Returns:
      One flag a line.
    """
    # A script that is run has another module name than its file: absl knows which.
    module = flags.FLAGS.find_module_defining_flag(flag)
    resolved = flags.FLAGS.flags_by_module_dict()[module]
    lines = (flag.serialize() for flag in sorted(resolved, key=lambda flag: flag.name))
    return "".join(f"{line}\n" for line in lines if line)


@contextlib.contextmanager
def reporting_errors() -> Iterator[None]:
    """Ends the process with a message and no traceback where a user can mend what is wrong."""
    from fsl_jax.errors import InputError
    from fsl_jax.training.loop import Stopped

    try:
        yield
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(REFUSED)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        print(f"error: {error}; what was written before is kept", file=sys.stderr)
        sys.exit(1)
    except Stopped as stopped:
        print(f"{stopped}. Give the same command again to go on.", file=sys.stderr)
        sys.exit(stopped.exit_status)
