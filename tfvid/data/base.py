"""What a dataset is: named classes, named splits, and samples that can be read as clips.

A new dataset is one file with one `VideoDataset` subclass: `class_names` and `samples`. Datasets made of
video files inherit `read`; the built-in moving shapes draw their clips instead.
"""

from abc import ABC, abstractmethod

from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.decode.sample import decode_sample


class VideoDataset(ABC):
    """A set of labelled clips.

    Attributes:
      class_names: tuple of str, in label order.
      splits: tuple of str, e.g. ("train", "validation").
      max_boxes: boxes a frame can have; 0 where boxes are not known.
      flip_labels: label after a left-right mirror, by label, e.g. {0: 1, 1: 0} for left/right; labels not
        in it are unchanged. None (the default) means mirroring is not safe for this dataset.
      reverse_labels: the same for playing the clip backwards; None where it is not known.
    """

    class_names: tuple[str, ...]
    splits: tuple[str, ...] = ("train", "validation")
    max_boxes: int = 0
    flip_labels: dict[int, int] | None = None
    reverse_labels: dict[int, int] | None = None
    origin: str
    arguments: tuple[tuple, dict]
    reads_files: bool

    def __new__(cls, *args, **kwargs):
        # What a decode process needs to read the same clips (`tfvid.data.decode.worker.ClipSource`).
        dataset = super().__new__(cls)
        dataset.origin = f"{cls.__module__}:{cls.__qualname__}"
        dataset.arguments = (args, kwargs)
        dataset.reads_files = cls.read is VideoDataset.read
        return dataset

    @abstractmethod
    def samples(self, split: str) -> list[Sample]:
        """The samples of `split`, always in the same order."""

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip:
        """Decodes `num_frames` frames spread evenly over `sample`, resized to `size` = (H, W).

        Raises:
          VideoError: the file cannot be decoded.
        """
        return decode_sample(sample, num_frames, size)
