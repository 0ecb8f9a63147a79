"""Show progress with the current loss and the time left: bars on a terminal, lines in a log."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

SECONDS_BETWEEN_LINES = 5.0


class Task:
    """Work that is counted up to a total; made by `Progress.task`."""

    def __init__(
        self, show: Callable[["Task"], None], description: str, total: int, completed: int
    ):
        self.description = description
        self.total = total
        self.completed = completed
        self.loss: float | None = None
        self.finished = False
        self._show = show

    def update(self, completed: int, *, loss: float | None = None) -> None:
        """Set the progress of the work.

        Args:
          completed: the amount that is done.
          loss: the current loss; None keeps the last loss.
        """
        self.completed = completed
        self.loss = self.loss if loss is None else loss
        self.finished = completed >= self.total
        self._show(self)

    def finish(self) -> None:
        """End the work, even if it has not reached its total."""
        if not self.finished:
            self.finished = True
            self._show(self)

    @property
    def count_text(self) -> str:
        """The amount done and the total: `50/600`."""
        return f"{self.completed}/{self.total}"

    @property
    def loss_text(self) -> str:
        """The loss as text; empty before the first loss."""
        return "" if self.loss is None else f"loss {self.loss:.3f}"


class Progress:
    """Shows tasks while its `with` block runs: live bars on a terminal, else a line now and then.

    with Progress() as progress:
        task = progress.task("lora with minilm-l6", total=600)
        task.update(50, loss=1.23)

    It writes to standard error, so that a table on standard output can be piped.

    Args:
      console: the console to write to; standard error if None.
      clock: returns seconds that never decrease.
    """

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        console = console or Console(stderr=True)
        kind = _BarDisplay if console.is_terminal else _LineDisplay
        self._console = console
        self._display: _BarDisplay | _LineDisplay = kind(console, clock)

    def __enter__(self) -> "Progress":
        self._display.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._display.stop()

    def task(self, description: str, total: int, completed: int = 0) -> Task:
        """Start showing a task.

        Args:
          description: the work in a few words.
          total: the total amount of work.
          completed: the amount that an earlier invocation has done.

        Returns:
          The task, which the caller updates.
        """
        task = Task(self._display.show, description, total, completed)
        self._display.show(task)
        return task

    def note(self, text: str) -> None:
        """Write a line that stays, such as a fact about the work."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class _BarDisplay:
    def __init__(self, console: Console, clock: Callable[[], float]):
        self._ids: dict[Task, TaskID] = {}
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            get_time=clock,
            expand=True,
            # Chunks of steps can be minutes apart, and computing a speed needs two of them.
            speed_estimate_period=1800.0,
        )
        self.start = self._bars.start
        self.stop = self._bars.stop

    def show(self, task: Task) -> None:
        if task not in self._ids:
            self._ids[task] = self._bars.add_task(task.description, count="", loss="")
        # Fill the bar of a task that ended early, or its clock would keep counting.
        total = task.completed if task.finished else task.total
        self._bars.update(
            self._ids[task],
            completed=task.completed,
            total=total,
            count=task.count_text,
            loss=task.loss_text,
        )


class _LineDisplay:
    def __init__(self, console: Console, clock: Callable[[], float]):
        self._console = console
        self._clock = clock
        self._begun: dict[Task, float] = {}
        self._first: dict[Task, tuple[float, int]] = {}
        self._last = -float("inf")

    def start(self) -> None:
        """Do nothing, since lines need no preparation."""

    def stop(self) -> None:
        """Do nothing, since lines need no cleanup."""

    def show(self, task: Task) -> None:
        now = self._clock()
        if task not in self._begun:
            self._begun[task] = now
        elif task not in self._first:
            # The time before the first update was compilation, which says nothing about the speed.
            self._first[task] = (now, task.completed)
        if task.finished or now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            self._console.print(
                self._line(task, now), markup=False, highlight=False, soft_wrap=True
            )

    def _line(self, task: Task, now: float) -> str:
        since, at = self._first.get(task, (now, task.completed))
        parts = [task.count_text, task.loss_text]
        if task.finished:
            parts.append(f"done in {_clock_text(now - self._begun[task])}")
        elif task.completed > at:
            left = (now - since) / (task.completed - at) * (task.total - task.completed)
            parts.append(f"{_clock_text(left)} left")
        return f"{task.description}: {', '.join(part for part in parts if part)}"


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
