"""Clips that cannot be read, or come from damaged files: counted, listed, and at some point too many."""

import threading
from collections.abc import Mapping
from contextlib import contextmanager

from tfvid.core.errors import DataError, TfvidError, one_line


class SkipLog:
    """What happened to the clips of one dataset; safe to share between threads.

    A clip that cannot be read is *bad* and is skipped. A clip of a damaged file (`tfvid.data.base.Clip.damage`) is
    used, with the frames that could be decoded.

    Args:
      total: number of clips that can be listed. In training this counts the clips of all epochs together: one of
        several workers reads other clips in each epoch.
      max_bad_share: `bad` raises when more than this share of them is bad.

    Attributes:
      seen: clips read so far, good and bad, every epoch counted.
      reasons: id -> why it was skipped; a clip that is bad in every epoch is there once.
      fatal: the error that stopped the run, or None.
      damaged: id -> what is wrong with its file, of the clips that were read from damaged files.
      max_damaged_share: `damage` raises when more than this share of the clips is damaged.
    """

    def __init__(self, total: int = 0, max_bad_share: float = 1.0):
        self.total, self.max_bad_share = total, max_bad_share
        self.seen = 0
        self.reasons: dict[str, str] = {}
        self.fatal: TfvidError | None = None
        self._lock = threading.Lock()
        self.damaged: dict[str, str] = {}
        self.max_damaged_share = 1.0

    def good(self):
        with self._lock:
            self.seen += 1

    def bad(self, id: str, reason: str):
        """Lists a clip.

        Raises:
          DataError: more than `max_bad_share` of all clips are bad now.
        """
        with self._lock:
            self.seen += 1
            self.reasons.setdefault(id, reason)
            bad = len(self.reasons)
            first = _first(self.reasons)
        self._stop_above("max_bad_share", bad, "cannot be read", first)

    def none_left(self, count: int):
        """Stops training: none of the `count` clips of an epoch can be read, so none can replace the bad ones.

        Raises:
          DataError: always.
        """
        self.stop(DataError(f"none of the {count} training clips can be read; the first: {_first(self.reasons)}"))

    def stop(self, error: TfvidError):
        """Raises `error`, and keeps it for `plain_errors`."""
        self.fatal = error
        raise error

    def damage(self, id: str, damage: str):
        """Lists a clip that was read from a damaged file.

        Raises:
          DataError: more than `max_damaged_share` of all clips are damaged now.
        """
        with self._lock:
            self.damaged.setdefault(id, one_line(damage))
            damaged, first = len(self.damaged), _first(self.damaged)
        self._stop_above("max_damaged_share", damaged, "come from damaged files", first)

    def _stop_above(self, limit: str, count: int, what: str, first: str):
        """Stops where `count` is more than the share of `total` that the attribute `limit` allows.

        Args:
          what: is wrong with the clips counted, in words.
          first: the first of them, and what is wrong with it.
        """
        share = getattr(self, limit)
        if count > share * self.total:
            self.stop(
                DataError(
                    f"{count} of {self.total} clips {what}, more than the allowed share of {share:g} ({limit}); "
                    f"the first: {first}"
                )
            )

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


def _first(log: Mapping[str, str]) -> str:
    """The first clip of a log, and what is said of it."""
    return ": ".join(next(iter(log.items())))


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
