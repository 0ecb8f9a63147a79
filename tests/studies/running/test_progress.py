import io
import re

import pytest
from rich.console import Console

from fsl_jax.studies.running.progress import SECONDS_BETWEEN_LINES, Progress


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def log():
    """A progress that writes into a stream which is no terminal, and its clock."""
    stream, clock = io.StringIO(), Clock()
    return Progress(Console(file=stream, width=40), clock), stream, clock


def test_lines_tell_the_loss_and_the_time_left(log):
    progress, stream, clock = log
    with progress:
        task = progress.task("lora with tiny", total=100)
        clock.now += 60
        task.update(10, loss=2.0)
        clock.now += 10
        task.update(20, loss=1.23456)
    assert stream.getvalue().splitlines() == [
        "lora with tiny: 0/100",
        "lora with tiny: 10/100, loss 2.000",
        "lora with tiny: 20/100, loss 1.235, 0:01:20 left",
    ]


def test_lines_come_at_most_once_in_a_while_but_the_end_is_told(log):
    progress, stream, clock = log
    with progress:
        task = progress.task("lora", total=1000)
        for step in range(1, 1001):
            clock.now += SECONDS_BETWEEN_LINES / 100
            task.update(step, loss=1.0)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1 + 10
    assert lines[-1] == "lora: 1000/1000, loss 1.000, done in 0:00:50"


def test_tasks_that_begin_together_share_the_limit(log):
    progress, stream, _ = log
    with progress:
        for name in "abcdef":
            progress.task(name, total=10)
    assert stream.getvalue() == "a: 0/10\n"


def test_work_done_by_an_earlier_invocation_does_not_count_as_speed(log):
    progress, stream, clock = log
    with progress:
        task = progress.task("lora", total=100, completed=80)
        clock.now += SECONDS_BETWEEN_LINES
        task.update(85)
        clock.now += SECONDS_BETWEEN_LINES
        task.update(90)
    assert stream.getvalue().splitlines()[-1] == "lora: 90/100, 0:00:10 left"


def test_a_task_that_ends_early_says_so_once(log):
    progress, stream, clock = log
    with progress:
        task = progress.task("lora", total=100)
        clock.now += 3
        task.update(40, loss=1.0)
        task.finish()
        task.finish()
    assert stream.getvalue().splitlines() == [
        "lora: 0/100",
        "lora: 40/100, loss 1.000, done in 0:00:03",
    ]


def test_descriptions_are_not_read_as_markup(log):
    progress, stream, _ = log
    with progress:
        progress.task("lora(targets=[red])", total=1)
    assert stream.getvalue() == "lora(targets=[red]): 0/1\n"


def test_a_terminal_gets_bars_with_loss_and_times():
    stream, clock = io.StringIO(), Clock()
    console = Console(file=stream, width=100, force_terminal=True, color_system=None)
    with Progress(console, clock) as progress:
        task = progress.task("lora(targets=[red])", total=100)
        for completed, loss in ((10, 2.0), (60, 0.5)):
            clock.now += 50
            task.update(completed, loss=loss)
        other = progress.task("bitfit", total=50)
        other.update(5)
        other.finish()
    text = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", stream.getvalue())
    lora, bitfit = (line for line in text.splitlines()[-3:] if "━" in line)
    assert lora.split()[0] == "lora(targets=[red])"
    assert lora.split()[-5:] == ["60/100", "loss", "0.500", "0:01:40", "0:00:40"]
    assert bitfit.split()[-3:] == ["5/50", "0:00:00", "0:00:00"]


def test_bars_are_put_away_after_an_error():
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True)

    def fail():
        with Progress(console) as progress:
            progress.task("lora", total=100)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert stream.getvalue().endswith("\x1b[?25h")


def test_it_writes_to_standard_error(capsys):
    with Progress() as progress:
        progress.task("lora", total=1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "lora: 0/1" in captured.err
