"""Ctrl-C ends a script with one line, whatever it is doing."""

import signal
import subprocess
import sys

import pytest

from experiments import interrupts

# `python -m` imports the package while the first argument is still "-m".
BEGIN = """
import sys
sys.argv[0] = "-m"
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import experiments
from experiments import interrupts, session
sys.argv[0] = "script"
"""
# Python drops exceptions in `__del__`.
IMPORTING = """
class Extension:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
Extension()
"""
DROPPED = (
    """
interrupts.clean_up_first()
"""
    + IMPORTING
)
WORKING = """
with session.reporting_errors():
    interrupts.clean_up_first()
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        print("cleaned up", flush=True)
"""


@pytest.mark.parametrize(
    ("code", "out", "err"),
    [
        (IMPORTING, "", "interrupted\n"),
        (DROPPED, "", "interrupted\n"),
        (WORKING, "cleaned up\n", "interrupted; what was written before is kept\n"),
    ],
)
def test_an_interrupt_is_one_line_and_a_status(code, out, err):
    ended = subprocess.run(
        [sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, out, err)


@pytest.fixture
def handler():
    """Puts the handler of SIGINT back as it was."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_interrupt_ends_the_process(handler):
    with pytest.raises(KeyboardInterrupt):
        interrupts.raise_interrupt(signal.SIGINT, None)
    assert signal.getsignal(signal.SIGINT) is interrupts.end_at_once


def test_a_handler_from_elsewhere_is_left_alone(handler):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.clean_up_first()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
