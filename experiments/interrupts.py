"""End a script at Ctrl-C with one line and the exit status that shells expect."""

import os
import signal
import types

STATUS = 128 + signal.SIGINT
"""The exit status."""

_DROPS_EXCEPTIONS = ("_xla_gc_callback", "__del__")
"""Functions in which Python prints an exception and goes on."""

_STANDARD_ERROR = 2


def end_at_once(*_: object) -> None:
    """End the process; a handler of SIGINT for the time in which there is nothing to clean up.

    In that time modules are imported, and an exception could be lost inside an extension module.
    """
    # Do not use `sys.stderr`, since the signal may have interrupted one of its writes.
    os.write(_STANDARD_ERROR, b"interrupted\n")
    os._exit(STATUS)


def raise_interrupt(number: int, frame: types.FrameType | None) -> None:
    """Raise KeyboardInterrupt; a handler of SIGINT for the time after `end_at_once`.

    Args:
      number: the signal. Another one ends the process, in case that something holds this one up.
      frame: the interrupted function.

    Raises:
      KeyboardInterrupt: always, unless Python would drop it.
    """
    signal.signal(number, end_at_once)
    if frame is not None and frame.f_code.co_name in _DROPS_EXCEPTIONS:
        end_at_once()
    raise KeyboardInterrupt


def clean_up_first() -> None:
    """From now on, let Ctrl-C raise KeyboardInterrupt, if it has ended the process at once."""
    if signal.getsignal(signal.SIGINT) is end_at_once:
        signal.signal(signal.SIGINT, raise_interrupt)
