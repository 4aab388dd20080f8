"""Ends a command on SIGTERM or Ctrl-C: it finishes and saves the current step, then exits with code 0.

Schedulers send SIGTERM before they kill a process.
"""

import os
import signal
import sys
import threading
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_asked: bool | None = None  # whether a signal arrived; None outside of `stoppable`


class Stopped(SystemExit):
    """The process received a signal and has saved its work. Not an `Exception`, so that no code retries."""


@contextmanager
def stoppable():
    """Inside, the first SIGTERM or Ctrl-C raises `Stopped` at the next `stop_if_asked`; the second one ends at once.

    Use it around a command, also as a decorator. It does nothing inside another `stoppable`, and in threads other than
    the main one, in which Python handles no signals.
    """
    global _asked
    if _asked is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before, _asked = {number: signal.signal(number, _ask) for number in SIGNALS}, False
    try:
        yield
    except Stopped:
        print("stopped; all finished work is saved; run the same command again to continue", file=sys.stderr)
        raise
    finally:
        _asked = None
        for number, handler in before.items():
            signal.signal(number, handler)


def is_asked() -> bool:
    """Returns whether the process received SIGTERM or Ctrl-C inside `stoppable`."""
    return bool(_asked)


def stop_if_asked():
    """Ends the process if it received a signal. Call it wherever all work so far is saved.

    Raises:
      Stopped: the process received SIGTERM or Ctrl-C; exit code 0.
    """
    if _asked:
        raise Stopped(0)


def _ask(number, _):
    global _asked
    _asked = True
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    os.write(
        2, f"\n{name}: finishing the current step; a second signal ends the process at once\n".encode()
    )  # print() is not reentrant
