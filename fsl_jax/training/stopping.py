"""Stop on request: the first signal sets a flag, which the program reads between steps."""

import os
import signal
import types
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_STANDARD_ERROR = 2


class StopRequest:
    """Turns the first SIGTERM or SIGINT into a flag, so that the program can save and then exit.

    The second signal acts as usual: SIGTERM ends the process, Ctrl-C raises KeyboardInterrupt. The
    earlier handlers are restored when the block ends.

        with StopRequest() as stop:
            while not done:
                state = advance(state)
                if stop.requested:
                    save(state)
                    sys.exit(stop.exit_status)

    Python handles signals only in the main thread and between dispatches. So enter the block in
    that thread, and keep a dispatch short compared with the time that a scheduler allows after
    SIGTERM. `jax.distributed.initialize` installs its own handler of SIGTERM, so enter the block
    after it.
    """

    def __init__(self) -> None:
        self._received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """True once one of the signals has been received."""
        return self._received is not None

    @property
    def signal_name(self) -> str:
        """The name of the received signal, such as "SIGTERM"; empty if there was none."""
        return self._received.name if self._received else ""

    @property
    def exit_status(self) -> int:
        """The exit status that shells expect after the received signal; 0 if there was none."""
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
        # Do not use `sys.stderr`, since the signal may have interrupted one of its writes.
        message = f"{self.signal_name}: stopping after this step; once more to stop at once.\n"
        os.write(_STANDARD_ERROR, message.encode())

    def _restore(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            # None means that the handler was not set from Python, so Python cannot restore it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
