"""The first signal is a request; the second acts as usual; then the handlers are restored."""

import signal
import subprocess
import sys

import pytest

from fsl_jax.training.stopping import StopRequest


@pytest.fixture(autouse=True)
def usual_interrupt():
    """Let interrupts act as in a terminal; a process in the background of a shell ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_sets_the_flag(number, capfd):
    with StopRequest() as stop:
        assert not stop.requested
        assert stop.exit_status == 0
        signal.raise_signal(number)
        assert stop.requested
    assert stop.signal_name == number.name
    assert stop.exit_status == 128 + number
    assert f"{number.name}: stopping after this step" in capfd.readouterr().err


def test_what_signals_did_before_is_restored():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with StopRequest():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_handler_that_python_cannot_set_back_gives_way_to_the_default(monkeypatch):
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
    set_handler = signal.signal

    def set_over_one_from_elsewhere(number, handler):
        set_handler(number, handler)

    monkeypatch.setattr(signal, "signal", set_over_one_from_elsewhere)
    with StopRequest():
        pass
    after = [signal.getsignal(number) for number, _ in before]
    for number, handler in before:
        set_handler(number, handler)
    assert after == [signal.SIG_DFL, signal.SIG_DFL]


def test_second_interrupt_is_a_keyboard_interrupt():
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert stop.signal_name == "SIGTERM"


def test_second_sigterm_ends_the_process():
    program = """
import os, signal
from fsl_jax.training.stopping import StopRequest
with StopRequest():
    os.kill(os.getpid(), signal.SIGTERM)
    print("still here", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    print("not here")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGTERM
    assert ended.stdout == "still here\n"
