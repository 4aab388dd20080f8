"""Measures where a command spends its time: wall-clock seconds for each part.

    with recording() as seconds:
        with timed("films"):
            ...
    seconds["films"]

The time of an inner part does not count for the outer part, so the parts add up to the total. Outside `recording`,
`timed` does nothing. Each thread records its own time.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

# The order in which pages and the terminal list parts. Other names follow.
PARTS = ("read", "trace", "forward", "gradient", "search", "films", "page")


class _Clock:
    """Seconds by part, and the parts that are running, the innermost last."""

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
        """Adds the time since the last change to the innermost part."""
        now = time.monotonic()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


_clock: ContextVar[_Clock | None] = ContextVar("clock", default=None)


@contextmanager
def recording() -> Iterator[Counter[str]]:
    """Inside, `timed` records. Yields the seconds by part, which grow."""
    clock = _Clock()
    token = _clock.set(clock)
    try:
        yield clock.seconds
    finally:
        _clock.reset(token)


@contextmanager
def timed(part: str) -> Iterator[None]:
    """Adds the time inside to `part`, without the time of inner parts."""
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
    """Yields `items`, and adds the time to wait for each one to `part`."""
    iterator = iter(items)
    while True:
        with timed(part):
            item = next(iterator, iterator)
        if item is iterator:
            return
        yield item


def listed(seconds: Mapping[str, float]) -> str:
    """Returns ``read 1.2 s, trace 10.4 s``: the parts of 0.05 seconds or more, in the order of `PARTS`."""
    order = [*PARTS, *sorted(seconds.keys() - set(PARTS))]
    return ", ".join(f"{part} {seconds[part]:.1f} s" for part in order if seconds.get(part, 0) >= 0.05)
