"""Measuring two sides in turns, and ratios with their spread."""

import dataclasses
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
      work: what was done.
      peer: which form of the peer did it; empty where there is none.
      ours: seconds in this project, one number for each repeat.
      theirs: seconds of the peer in the same repeats.
      goal: what the ratio has to reach, or what the seconds have to stay below without a peer.
      note: what else there is to say.
    """

    work: str
    peer: str
    ours: Sequence[float]
    theirs: Sequence[float]
    goal: float | None
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """The peer's seconds over ours, of each repeat."""
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    def cells(self) -> list[str]:
        """The cells of the line."""
        ours, theirs = map(_seconds, (self.ours, self.theirs))
        if not self.theirs:
            goal = "" if self.goal is None else f"< {self.goal:g} s"
            return [self.work, "", "", ours, "", goal, self.note]
        goal = "" if self.goal is None else f"≥ {self.goal:g}"
        return [self.work, self.peer, theirs, ours, _spread(self.ratios), goal, self.note]


HEADINGS = (
    "work",
    "peer",
    "peer, s",
    "this project, s",
    "peer over this project: median (least to most)",
    "goal",
    "note",
)


def alternate(
    sides: Mapping[str, Callable[[], float]], repeats: int, warmup: int = 1
) -> dict[str, list[float]]:
    """Measures sides in turns, so that what else the machine does falls on all of them.

    Args:
      sides: functions that do the work once and return its seconds.
      repeats: how many turns count.
      warmup: how many turns do not.

    Returns:
      The seconds of each side.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(warmup + repeats):
        for name, side in sides.items():
            measured = side()
            if turn >= warmup:
                seconds[name].append(measured)
    return seconds


def require_same_losses(ours: Sequence[float], theirs: Sequence[float], tolerance: float) -> None:
    """Raises an error unless two sides did the same work.

    Args:
      ours: the loss of each step.
      theirs: likewise; the steps that both have are compared.
      tolerance: the largest relative difference.

    Raises:
      ValueError: the losses differ, or there are none.
    """
    both = min(len(ours), len(theirs))
    first, second = np.asarray(ours[:both]), np.asarray(theirs[:both])
    if not both or not np.allclose(first, second, rtol=tolerance, atol=0):
        raise ValueError(f"the sides do not do the same work: losses {first} and {second}")


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """The machine in one line."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [
        f"{_processor()}, {cores} cores, {memory:.0f} GiB",
        f"Python {platform.python_version()}",
    ]
    return ", ".join(parts)


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _seconds(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g}" if values else ""


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
