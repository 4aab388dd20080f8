"""SIGTERM, as schedulers send it before they kill: what is begun is finished and kept, and the process ends well."""

import os
import signal
import sys
import threading
from contextlib import contextmanager

_asked: bool | None = None  # None: nobody listens


class Stopped(SystemExit):
    """The process was asked to end and has kept all it did. Not an `Exception`: nothing is to try again."""


@contextmanager
def stoppable():
    """Inside, a first SIGTERM raises `Stopped` at the next `stop_if_asked`; a second one ends the process at once.

    Around a command; also as a decorator. Does nothing inside another one, and in threads other than the main one,
    where Python has no signals.
    """
    global _asked
    if _asked is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before, _asked = signal.signal(signal.SIGTERM, _ask), False
    try:
        yield
    except Stopped:
        print("stopped, and all that was done is kept; the same command goes on from here", file=sys.stderr)
        raise
    finally:
        _asked = None
        signal.signal(signal.SIGTERM, before)


def stop_if_asked():
    """Call it wherever all that was done so far is kept.

    Raises:
      Stopped: a SIGTERM came; exit code 0.
    """
    if _asked:
        raise Stopped(0)


def _ask(*_):
    global _asked
    _asked = True
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.write(2, b"\nSIGTERM: finishing what is begun; a second one ends it at once\n")  # `print` cannot be interrupted
