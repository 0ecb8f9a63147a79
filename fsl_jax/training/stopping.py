"""Stopping when asked to: the first signal is a request, which the program grants between steps."""

import os
import signal
import types
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_STANDARD_ERROR = 2


class StopRequest:
    """Turns the first SIGTERM or SIGINT into a flag, so that the program can save and then exit.

    The second one acts as it would have without this: SIGTERM ends the process, Ctrl-C raises
    KeyboardInterrupt. What the signals did before is restored when the block ends.

        with StopRequest() as stop:
            while not done:
                state = advance(state)
                if stop.requested:
                    save(state)
                    sys.exit(stop.exit_status)

    Signals reach Python in the main thread, and there between dispatches only: enter the block in
    that thread, and keep a dispatch short against the time that a scheduler grants after SIGTERM.
    `jax.distributed.initialize` takes SIGTERM for itself: enter the block after it.
    """

    def __init__(self) -> None:
        self._received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether one of the signals has come."""
        return self._received is not None

    @property
    def signal_name(self) -> str:
        """The signal that came, "SIGTERM"; empty when none has."""
        return self._received.name if self._received else ""

    @property
    def exit_status(self) -> int:
        """What shells and schedulers expect of a process that a signal stopped; 0 without one."""
        return 128 + self._received if self._received else 0

    def __enter__(self) -> "StopRequest":
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _handle(self, number: int, frame: types.FrameType | None) -> None:
        del frame
        self._received = signal.Signals(number)
        self._restore()
        # Written past `sys.stderr`, which may be in the middle of a write that this interrupts.
        message = f"{self.signal_name}: stopping after this step; once more to stop at once.\n"
        os.write(_STANDARD_ERROR, message.encode())

    def _restore(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            # None is a handler that was not set from Python, and cannot be set back from there.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
