"""Measure two sides in turns, and show their ratios with the spread."""

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
      work: a description of the work.
      peer: the form of the peer that did the same work; empty if there is none.
      seconds: of this project, a number for each repeat.
      peer_seconds: of the peer in the same repeats.
      goal: the ratio that is to be reached, or, without a peer, the limit of the seconds.
      note: any other remark.
    """

    work: str
    peer: str
    seconds: Sequence[float]
    peer_seconds: Sequence[float]
    goal: float | None
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """The peer's seconds over this project's, of each repeat."""
        pairs = zip(self.seconds, self.peer_seconds, strict=True)
        return [of_peer / of_project for of_project, of_peer in pairs]

    def cells(self) -> list[str]:
        """Write the cells of the line."""
        seconds, peer_seconds = map(_median, (self.seconds, self.peer_seconds))
        if not self.peer_seconds:
            goal = "" if self.goal is None else f"< {self.goal:g} s"
            return [self.work, "", "", seconds, "", goal, self.note]
        goal = "" if self.goal is None else f"≥ {self.goal:g}"
        return [self.work, self.peer, peer_seconds, seconds, _spread(self.ratios), goal, self.note]


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
    """Measure sides in turns, so that other work of the machine slows all of them alike.

    Args:
      sides: functions that do the work once and return its seconds.
      repeats: the number of turns that count.
      warmup: the number of turns before them that do not count.

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


def require_same_losses(
    losses: Sequence[float], peer_losses: Sequence[float], tolerance: float
) -> None:
    """Raise an error unless two sides did the same work.

    Args:
      losses: the loss of each step here.
      peer_losses: the loss of each step of the peer; the steps that both have are compared.
      tolerance: the largest relative difference.

    Raises:
      ValueError: the losses differ, or there are none.
    """
    shared = min(len(losses), len(peer_losses))
    first, second = np.asarray(losses[:shared]), np.asarray(peer_losses[:shared])
    if not shared or not np.allclose(first, second, rtol=tolerance, atol=0):
        raise ValueError(f"the sides do not do the same work: losses {first} and {second}")


def table(rows: Sequence[Row]) -> str:
    """Write the rows in Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """Describe the machine in one line."""
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


def _median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g}" if values else ""


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
