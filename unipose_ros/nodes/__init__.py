"""Executables: each file is one node and its ``main``."""

import os
import signal
import sys

# Ctrl-C ends a program that is still importing at once, without a traceback; ``python -m`` calls it so meanwhile.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

# Before NumPy is loaded. The products of matrices here are too small for more than one thread, and BLAS lets its
# threads spin: where other programs keep the cores busy, each product would wait for a thread to be scheduled, and
# looking for people takes ten times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
