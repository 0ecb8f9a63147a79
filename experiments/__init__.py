"""Scripts that read flags, call the library, and write files."""

import signal
import sys

from experiments.interrupts import end_at_once

# `python -m experiments.NAME` imports this package before the script, while the first argument is
# still "-m".
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end_at_once)
