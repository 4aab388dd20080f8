"""The clips of an experiment, in the size that a model expects, and the progress of a task over them."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tqdm import tqdm

from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample
from tfvid.data.pipeline.remaining import remaining_batches
from tfvid.data.settings import DataConfig
from tfvid.data.skipped import SkipLog
from tfvid.models.loaded import Loaded


@dataclass(frozen=True)
class Clips:
    """Clips of a dataset for one model.

    Attributes:
      model: the model. Its clip length, frame size and labels are used.
      dataset: the dataset of the clips.
      split: the split of the dataset.
      samples: the clips, in order.
      to_model: for each label of the dataset, the model's label.
      data: the settings for decoding.
    """

    model: Loaded
    dataset: VideoDataset
    split: str
    samples: Sequence[Sample]
    to_model: dict[int, int]
    data: DataConfig

    @property
    def ids(self) -> list[str]:
        """The ids of the clips, in order."""
        return [sample.id for sample in self.samples]

    def batches(
        self, done: Collection[str] = (), *, log: SkipLog, batch_size: int | None = None, limit: int | None = None
    ) -> Iterator[dict]:
        """Yields batches of the clips that are not in `done`.

        Args:
          done: ids of clips to leave out; they are not decoded.
          log: records the clips that cannot be read.
          batch_size: the number of clips in a batch; None for that of `data`.
          limit: use the first `limit` clips only; None for all.

        Yields:
          Dicts of NumPy arrays as from `tfvid.load_dataset`, with the model's labels.
        """
        return remaining_batches(
            self.dataset,
            self.split,
            list(self.samples[:limit]),
            set(done),
            self.to_model,
            num_frames=self.model.num_frames,
            size=self.model.size,
            batch_size=batch_size or self.data.batch_size,
            workers=self.data.workers,
            time_limit=self.data.time_limit,
            max_bad_share=self.data.max_bad_share,
            max_damaged_share=self.data.max_damaged_share,
            skipped=log,
        )


@contextmanager
def task(name: str, clips: Clips, done: Collection[str] = ()):
    """Shows the progress of a task over clips: the number of finished clips, the rate and the remaining time.

    Args:
      name: the name of the task.
      clips: all clips of the task.
      done: ids of the clips that an earlier start has finished.

    Yields:
      The bar, whose `update` expects the number of clips just finished, and the log for `Clips.batches`.
    """
    log, before = SkipLog(), sum(id in done for id in clips.ids)
    bar = tqdm(total=len(clips.ids), initial=before, desc=f"{name} {clips.model.name}", unit="clip")
    with bar, log.plain_errors():
        yield bar, log
