"""Scripts in processes that are forked from one that has imported what scripts import.

Importing JAX, transformers and the library takes seconds, which most tests of a script need not
spend. All else is as with `python -m`: the process, its signals, its exit status and its output.
"""

import multiprocessing
import os
import pathlib
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping

# None of these starts the devices, whose flags are those of the forked process.
IMPORTED = (
    "fsl_jax.studies.study",
    "fsl_jax.studies.evaluation.evaluate",
    "fsl_jax.adapt.files.exporting",
    "orbax.checkpoint.v1",
)

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(list(IMPORTED))


class WarmScript:
    """A running script, with the methods of `subprocess.Popen` that tests use.

    Attributes:
      pid: the number of the process.
    """

    def __init__(
        self,
        script: str,
        flags: tuple[str, ...],
        environment: Mapping[str, str],
        directory: pathlib.Path,
    ):
        """Start `experiments.SCRIPT`; what it prints is kept in files in a directory."""
        self._printed = [directory / name for name in ("out", "err")]
        arguments = (script, flags, dict(environment), list(map(os.fspath, self._printed)))
        # Nobody waits for a script whose test has failed.
        self._process = _CONTEXT.Process(target=_run, args=arguments, daemon=True)
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for the signal that ended the process; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit status, or None while the process runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end, and return what was printed: output and errors."""
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        out, err = (path.read_text() if path.exists() else "" for path in self._printed)
        return out, err


def finish(
    process: subprocess.Popen | WarmScript, seconds: float = 900
) -> tuple[int | None, str, str]:
    """Wait for the end of a script, and return its exit status, output and errors."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def _run(
    script: str, flags: tuple[str, ...], environment: dict[str, str], printed: list[str]
) -> None:
    """Become the script."""
    os.environ.clear()
    os.environ.update(environment)
    for number, path in zip((1, 2), printed, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    # As `python -m` has it while it imports the package of the script.
    sys.argv = ["-m", *flags]
    runpy.run_module(f"experiments.{script}", run_name="__main__", alter_sys=True)
