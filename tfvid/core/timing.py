"""Where the time of a command goes: wall-clock seconds by part.

    with recording() as seconds:
        with timed("films"):
            ...
    seconds["films"]

A part inside another is taken out of it, so the parts add up to the time that any was open. Outside `recording`,
`timed` does nothing. Each thread records for itself.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

# In the order in which a page or a terminal lists them; any other name comes after these.
PARTS = ("read", "trace", "forward", "gradient", "search", "films", "page")


class _Clock:
    """Seconds by part, and the parts that are open, the innermost last."""

    def __init__(self):
        self.seconds: Counter[str] = Counter()
        self._open: list[str] = []
        self._since = 0.0

    def enter(self, part: str):
        self._count()
        self._open.append(part)

    def leave(self):
        self._count()
        self._open.pop()

    def _count(self):
        """Counts the time since the last change to the innermost part."""
        now = time.monotonic()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


_clock: ContextVar[_Clock | None] = ContextVar("clock", default=None)


@contextmanager
def recording() -> Iterator[Counter[str]]:
    """Inside, `timed` records; yields the seconds by part, which grow."""
    clock = _Clock()
    token = _clock.set(clock)
    try:
        yield clock.seconds
    finally:
        _clock.reset(token)


@contextmanager
def timed(part: str) -> Iterator[None]:
    """Counts the time inside to `part`, less that of the parts within."""
    clock = _clock.get()
    if clock is None:
        yield
        return
    clock.enter(part)
    try:
        yield
    finally:
        clock.leave()


def each_timed(part: str, items: Iterable) -> Iterator:
    """Yields `items`; waiting for each counts to `part`."""
    iterator = iter(items)
    while True:
        with timed(part):
            item = next(iterator, iterator)
        if item is iterator:
            return
        yield item


def listed(seconds: Mapping[str, float]) -> str:
    """ "read 1.2 s, trace 10.4 s": the parts that took time, in the order of `PARTS`."""
    order = [*PARTS, *sorted(seconds.keys() - set(PARTS))]
    return ", ".join(f"{part} {seconds[part]:.1f} s" for part in order if seconds.get(part, 0) >= 0.05)
