"""SIGTERM, which schedulers send before they kill, and Ctrl-C: finish and keep what is begun, then end with code 0."""

import os
import signal
import sys
import threading
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_asked: bool | None = None  # None: not inside `stoppable`


class Stopped(SystemExit):
    """The process was asked to end and has kept all it did. Not an `Exception`: nothing is to try again."""


@contextmanager
def stoppable():
    """Inside, a first SIGTERM or Ctrl-C raises `Stopped` at the next `stop_if_asked`; a second one ends at once.

    Around a command; also as a decorator. Does nothing inside another one, and in threads other than the main one,
    where Python has no signals.
    """
    global _asked
    if _asked is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before, _asked = {number: signal.signal(number, _ask) for number in SIGNALS}, False
    try:
        yield
    except Stopped:
        print("stopped, and all that was done is kept; the same command goes on from here", file=sys.stderr)
        raise
    finally:
        _asked = None
        for number, handler in before.items():
            signal.signal(number, handler)


def is_asked() -> bool:
    """Whether the process was asked to end."""
    return bool(_asked)


def stop_if_asked():
    """Call it wherever all that was done so far is kept.

    Raises:
      Stopped: the process was asked to end; exit code 0.
    """
    if _asked:
        raise Stopped(0)


def _ask(number, _):
    global _asked
    _asked = True
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    os.write(2, f"\n{name}: finishing what is begun; a second one ends it at once\n".encode())  # not interruptible
