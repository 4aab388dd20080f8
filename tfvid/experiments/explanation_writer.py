"""Writes the films and records of explained clips while the next clips are explained."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from tfvid.core.errors import DataError
from tfvid.core.timing import timed
from tfvid.experiments.originals import Originals
from tfvid.report.media import Films, write_media
from tfvid.results.result_store import Result


@dataclass(frozen=True)
class Explained:
    """A batch of explained clips.

    Attributes:
      records: a record for each clip, without the names of its films.
      clips: float32 `(B, T, H, W, 3)` in [0, 1].
      maps: float32 `(B, T, H, W)` in [0, 1] by the method, in the order of the records.
      perturbed: the clips perturbed with their masks, like `clips`.
      backwards: the clips reversed with their masks, for a second film, like `clips`; None for no second film.
      batch: the batch of the data set, with all its keys.
      perturb: the perturbation.
    """

    records: list[Result]
    clips: np.ndarray
    maps: dict[str, np.ndarray]
    perturbed: np.ndarray
    backwards: np.ndarray | None
    batch: Mapping[str, np.ndarray]
    perturb: Callable

    def changed(self, frames: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Returns frames `(T, H, W, 3)`, perturbed by a mask `(T,)`, and reversed by it if there is a second film."""
        from tfvid.perturb.temporal import reverse

        clips, masks = frames[np.newaxis], mask[np.newaxis]
        backwards = None if self.backwards is None else np.asarray(reverse(clips, masks))[0]
        return frames, np.asarray(self.perturb(clips, masks))[0], backwards


class ExplanationWriter:
    """Writes films in a thread of its own, and then their records: a clip with a record has its files.

    One batch is written at a time. Use it as a context manager: at the end, also after an error, it finishes the batch
    that it has taken.

    Args:
      out: the folder for the results.
      store: a `ResultStore` or `ResultPart` for the records.
      films: the films and pictures to write.
      measure: a function that is called before records are stored, with the records, the maps of their first method,
        float32 `(B, T, H, W)`, and their batch. If the process is killed before the records are stored, the next run
        calls it again with the same clips.
      progress: a function that is called with the number of clips just stored.
      originals: reads the original frames of clips, which films then show; None: films show the model's.

    Attributes:
      store: the store.
    """

    def __init__(
        self,
        out,
        store,
        *,
        films: Films,
        measure: Callable[[list[Result], np.ndarray, Mapping], None] = lambda records, maps, batch: None,
        progress: Callable[[int], None] = lambda clips: None,
        originals: Originals | None = None,
    ):
        self.store = store
        self._out, self._films, self._measure, self._progress = out, films, measure, progress
        self._originals = originals
        self._thread = ThreadPoolExecutor(1, "films")
        self._waiting: tuple[Explained, Future] | None = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        try:
            self.finish()
        finally:
            self._thread.shutdown()
            if self._originals is not None:
                self._originals.close()

    def ids(self, model: str) -> set[str]:
        """Returns the ids of the clips of a model that are stored, or taken and not stored yet."""
        waiting = set() if self._waiting is None else {record.id for record in self._waiting[0].records}
        return self.store.done(model) | waiting

    def take(self, explained: Explained):
        """Finishes the batch before, and starts to write `explained`."""
        self.finish()
        self._waiting = explained, self._thread.submit(self._written, explained)

    def finish(self):
        """Waits until the batch that was taken is stored.

        Raises:
          DataError: the folder cannot be written, e.g. because the disk is full.
        """
        if self._waiting is None:
            return
        (explained, films), self._waiting = self._waiting, None
        with timed("films"), _writing(self._out):
            records = films.result()
            self._measure(records, next(iter(explained.maps.values())), explained.batch)
            self.store.append(records)
        self._progress(len(records))

    def _written(self, explained: Explained) -> list[Result]:
        """Writes the films of a batch, and returns its records with the names of the films."""
        return [
            self._drawn(explained, i) if self._films.include(record.id) else record
            for i, record in enumerate(explained.records)
        ]

    def _drawn(self, explained: Explained, i: int) -> Result:
        """Writes the films of one clip, and returns its record."""
        record, backwards = explained.records[i], explained.backwards
        frames = explained.clips[i], explained.perturbed[i], None if backwards is None else backwards[i]
        if self._originals is not None and (original := self._originals.read(record.id, len(record.mask))) is not None:
            record = replace(record, shown=original.frames.shape[1:3], seconds=np.array(original.seconds, np.float32))
            frames = explained.changed(original.frames / np.float32(255), record.mask)
        clip, perturbed, reversed_clip = frames
        heats = {method: maps[i] for method, maps in explained.maps.items()}
        return write_media(record, self._out, clip, heats, perturbed, reversed_clip, self._films)


@contextmanager
def _writing(out):
    """Turns an error of the disk into a DataError, which ends the run: it is not an error of a single clip."""
    try:
        yield
    except OSError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{out}: cannot be written ({reason}); earlier results are kept") from error
