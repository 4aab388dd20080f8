"""Lists clips that cannot be read or come from damaged files, and stops the run if there are too many."""

import threading
from collections.abc import Mapping
from contextlib import contextmanager

from tfvid.core.errors import DataError, TfvidError, one_line


class SkipLog:
    """Lists the bad and the damaged clips of one data set. Threads may use it at the same time.

    A *bad* clip cannot be read and is skipped. A *damaged* clip comes from a damaged file
    (`tfvid.data.decode.clip.Clip.damage`) and is used, with the frames that could be decoded.

    Args:
      total: number of different clips that are read. One of several workers in training reads other clips in each
        epoch; its total is that of all epochs.
      max_bad_share: the largest share of `total` that may be bad, 0 to 1.

    Attributes:
      seen: number of clips read so far, good and bad, in all epochs.
      reasons: why a bad clip was skipped, by id; a clip that is bad in several epochs is listed once.
      fatal: the error that stopped the run, or None.
      damaged: what is wrong with the file of a damaged clip, by id.
      max_damaged_share: the largest share of `total` that may be damaged, 0 to 1.
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
        """Counts a clip that was read."""
        with self._lock:
            self.seen += 1

    def bad(self, id: str, reason: str):
        """Lists a bad clip.

        Raises:
          DataError: more than `max_bad_share` of all clips are now bad.
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
        """Stores `error` for `plain_errors`, and raises it."""
        self.fatal = error
        raise error

    def damage(self, id: str, damage: str):
        """Lists a damaged clip.

        Raises:
          DataError: more than `max_damaged_share` of all clips are now damaged.
        """
        with self._lock:
            self.damaged.setdefault(id, one_line(damage))
            damaged, first = len(self.damaged), _first(self.damaged)
        self._stop_above("max_damaged_share", damaged, "come from damaged files", first)

    def _stop_above(self, limit: str, count: int, what: str, first: str):
        """Stops if `count` is more than the share of `total` that the attribute `limit` allows.

        Args:
          limit: the name of the attribute.
          count: number of clips.
          what: what is wrong with these clips.
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
        """Raises `fatal` instead of the long error in which TensorFlow wraps it.

        Use it around a loop over the data set (`fit`, ``for batch in ...``).
        """
        try:
            yield
        except Exception:
            if self.fatal is not None:
                raise self.fatal from None
            raise


def _first(log: Mapping[str, str]) -> str:
    """``id: words`` of the first clip of a log."""
    return ": ".join(next(iter(log.items())))


NAMED = 3  # number of damaged clips that a line names


def damage_line(damaged: Mapping[str, str]) -> str:
    """Returns a line with the number of damaged clips and the first of them; "" if there are none.

    Args:
      damaged: what is wrong with the file of a clip, by id.
    """
    if not damaged:
        return ""
    named = "; ".join(f"{id} ({damage})" for id, damage in list(damaged.items())[:NAMED])
    more = f"; and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
    clips = "1 clip comes from a damaged file" if len(damaged) == 1 else f"{len(damaged)} clips come from damaged files"
    return one_line(f"{clips}: {named}{more}")
