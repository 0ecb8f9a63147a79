"""Lines of a benchmark: each one as soon as it is measured, and a table in the end."""

import os
from collections.abc import Callable, Collection, Iterable, Sequence

import jax
import torch
import transformers
from absl import app

from benchmarks.measure import Row, machine, table


def require_known(arguments: Sequence[str], parts: Iterable[str], known: Collection[str]) -> None:
    """Raise an error for arguments that are no flags, and for unknown parts.

    Args:
      arguments: the arguments of a command, its name included.
      parts: the parts that are to be measured.
      known: the parts that there are.

    Raises:
      UsageError: some are not known.
    """
    if unknown := [*arguments[1:], *(part for part in parts if part not in known)]:
        raise app.UsageError(f"not known: {', '.join(unknown)}; parts: {', '.join(known)}")


def report(measurements: Iterable[Callable[[], Iterable[Row]]]) -> None:
    """Measure lines against a peer in PyTorch, and print them.

    Args:
      measurements: functions that measure lines.
    """
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    rows: list[Row] = []
    for measure in measurements:
        for row in measure():
            print(table([row]).splitlines()[-1], flush=True)
            rows.append(row)
    versions = f"JAX {jax.__version__}, PyTorch {torch.__version__}"
    load_average = "load {:.1f}, {:.1f}, {:.1f}".format(*os.getloadavg())
    print(f"\n{machine()}, {versions}, {load_average}\n\n{table(rows)}")
