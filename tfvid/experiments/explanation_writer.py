"""Writes the films and records of explained clips while the next clips are explained."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from tfvid.core.errors import DataError
from tfvid.core.timing import timed
from tfvid.report.media import write_media
from tfvid.results.result_store import Result


@dataclass(frozen=True)
class Explained:
    """A batch of explained clips.

    Attributes:
      records: a record for each clip, without the names of its films.
      clips: float32 `(B, T, H, W, 3)` in [0, 1].
      maps: float32 `(B, T, H, W)` in [0, 1].
      perturbed: the clips perturbed with their masks, like `clips`.
      backwards: the clips reversed with their masks, for a second film, like `clips`; None for no second film.
      batch: the batch of the data set, with all its keys.
    """

    records: list[Result]
    clips: np.ndarray
    maps: np.ndarray
    perturbed: np.ndarray
    backwards: np.ndarray | None
    batch: Mapping[str, np.ndarray]


class ExplanationWriter:
    """Writes films in a thread of its own, and then their records: a clip with a record has its files.

    One batch is written at a time. As a context manager it writes what it took, also after an error.

    Args:
      out: the run's folder.
      store: takes the records.
      shown: whether a clip, by id, gets films and pictures; the others get a record only.
      measure: called with records before they are stored, their maps and their batch, see `explain_clips`.
      progress: called with the number of clips just stored.
      media: options of `write_media`.
    """

    def __init__(
        self,
        out,
        store,
        *,
        shown: Callable[[str], bool],
        measure: Callable[[list[Result], np.ndarray, Mapping], None],
        progress: Callable[[int], None],
        media: Mapping,
    ):
        self._out, self._store, self._media = out, store, media
        self._shown, self._measure, self._progress = shown, measure, progress
        self._thread = ThreadPoolExecutor(1, "films")
        self._waiting: tuple[Explained, Future] | None = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        try:
            self.finish()
        finally:
            self._thread.shutdown()

    def ids(self) -> set[str]:
        """Of the clips that are not stored yet."""
        return set() if self._waiting is None else {record.id for record in self._waiting[0].records}

    def take(self, explained: Explained):
        """Begins to write `explained`, when the batch before it is stored."""
        self.finish()
        self._waiting = explained, self._thread.submit(self._films, explained)

    def finish(self):
        """Waits until all that was taken is stored.

        Raises:
          DataError: the folder cannot be written, e.g. because the disk is full.
        """
        if self._waiting is None:
            return
        (explained, films), self._waiting = self._waiting, None
        with timed("films"), _writing(self._out):
            records = films.result()
            self._measure(records, explained.maps, explained.batch)
            self._store.append(records)
        self._progress(len(records))

    def _films(self, explained: Explained) -> list[Result]:
        """The records, with the names of the films just written."""
        return [
            write_media(
                record,
                self._out,
                explained.clips[i],
                explained.maps[i],
                explained.perturbed[i],
                None if explained.backwards is None else explained.backwards[i],
                **self._media,
            )
            if self._shown(record.id)
            else record
            for i, record in enumerate(explained.records)
        ]


@contextmanager
def _writing(out):
    """A disk that is full or cannot be written is no fault of the clip's: one line, and no further clip is tried."""
    try:
        yield
    except OSError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{out}: cannot be written ({reason}); what was done before is kept") from error
