"""Clips that cannot be read, or come from damaged files: counted, listed, and at some point too many."""

import threading
from collections.abc import Mapping
from contextlib import contextmanager

from tfvid.errors import DataError, TfvidError, one_line


class SkipLog:
    """What happened to the clips of one dataset; safe to share between threads.

    A clip that cannot be read is *bad*: it is skipped. A clip of a damaged file (`tfvid.data.base.Clip.damage`) is
    used, with the frames that could be decoded.

    Args:
      total: clips there are.
      max_bad_share: `bad` raises when more than this share of them is bad.
      max_damaged_share: `damage` raises when more than this share of them is damaged.

    Attributes:
      seen: clips read so far, good and bad, every epoch counted.
      reasons: id -> why it was skipped; a clip that is bad in every epoch is there once.
      damaged: id -> what is wrong with its file, of the clips that were read from damaged files.
      fatal: the error that stopped the run, or None.
    """

    def __init__(self, total: int = 0, max_bad_share: float = 1.0, max_damaged_share: float = 1.0):
        self.total, self.max_bad_share, self.max_damaged_share = total, max_bad_share, max_damaged_share
        self.seen = 0
        self.reasons: dict[str, str] = {}
        self.damaged: dict[str, str] = {}
        self.fatal: TfvidError | None = None
        self._lock = threading.Lock()

    def good(self):
        with self._lock:
            self.seen += 1

    def bad(self, id: str, reason: str):
        """Lists a clip that cannot be read.

        Raises:
          DataError: more than `max_bad_share` of all clips are bad now.
        """
        with self._lock:
            self.seen += 1
            self.reasons.setdefault(id, reason)
            bad = len(self.reasons)
        if bad > self.max_bad_share * self.total:
            self._stop_for(self.reasons, bad, "cannot be read", f"{self.max_bad_share:g} (max_bad_share)")

    def damage(self, id: str, damage: str):
        """Lists a clip that was read from a damaged file.

        Raises:
          DataError: more than `max_damaged_share` of all clips are damaged now.
        """
        with self._lock:
            self.damaged.setdefault(id, damage)
            damaged = len(self.damaged)
        if damaged > self.max_damaged_share * self.total:
            share = f"{self.max_damaged_share:g} (max_damaged_share)"
            self._stop_for(self.damaged, damaged, "come from damaged files", share)

    def _stop_for(self, listed: dict[str, str], count: int, what: str, share: str):
        first, why = next(iter(listed.items()))
        self.stop(
            DataError(
                f"{count} of {self.total} clips {what}, more than the allowed share of {share}; "
                f"the first: {first}: {why}"
            )
        )

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


NAMED = 3  # damaged clips that a line names


def damage_line(damaged: Mapping[str, str]) -> str:
    """One line that counts the damaged clips and names the first of them; "" where there are none.

    Args:
      damaged: what is wrong with a clip's file, by the clip's id.
    """
    if not damaged:
        return ""
    named = "; ".join(f"{id} ({damage})" for id, damage in list(damaged.items())[:NAMED])
    more = f"; and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
    clips = "1 clip comes from a damaged file" if len(damaged) == 1 else f"{len(damaged)} clips come from damaged files"
    return one_line(f"{clips}: {named}{more}")
