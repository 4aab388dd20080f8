"""Clips that cannot be read: skipped, counted, listed, and at some point too many."""

import threading
from contextlib import contextmanager

from tfvid.errors import DataError, TfvidError


class SkipLog:
    """What happened to the clips of one dataset; safe to share between threads.

    Args:
      total: clips there are.
      max_bad_share: `bad` raises when more than this share of them is bad.

    Attributes:
      needs_one: `bad` also raises when all clips are bad; training, which replaces bad clips, has none to take then.
      seen: clips read so far, good and bad, every epoch counted.
      reasons: id -> why it was skipped; a clip that is bad in every epoch is there once.
      fatal: the error that stopped the run, or None.
    """

    def __init__(self, total: int = 0, max_bad_share: float = 1.0):
        self.total, self.max_bad_share = total, max_bad_share
        self.needs_one = False
        self.seen = 0
        self.reasons: dict[str, str] = {}
        self.fatal: TfvidError | None = None
        self._lock = threading.Lock()

    def good(self):
        with self._lock:
            self.seen += 1

    def bad(self, id: str, reason: str):
        """Lists a clip.

        Raises:
          DataError: more than `max_bad_share` of all clips are bad now, or all of them where one is needed.
        """
        with self._lock:
            self.seen += 1
            self.reasons.setdefault(id, reason)
            bad = len(self.reasons)
        first, why = next(iter(self.reasons.items()))
        if bad > self.max_bad_share * self.total:
            self.stop(
                DataError(
                    f"{bad} of {self.total} clips cannot be read, more than the allowed share of "
                    f"{self.max_bad_share:g} (max_bad_share); the first: {first}: {why}"
                )
            )
        if self.needs_one and bad >= self.total:
            self.stop(DataError(f"none of the {self.total} training clips can be read; the first: {first}: {why}"))

    def stop(self, error: TfvidError):
        """Raises `error`, and keeps it for `plain_errors`."""
        self.fatal = error
        raise error

    @contextmanager
    def plain_errors(self):
        """Around a loop over the dataset (`fit`, ``for batch in ...``): `fatal` is raised as it is.

        TensorFlow wraps an error inside a pipeline into one of its own, of many lines.
        """
        try:
            yield
        except Exception:
            if self.fatal is not None:
                raise self.fatal from None
            raise
