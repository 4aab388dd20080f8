"""The base class of data sets: named classes, named splits, and samples that can be read as clips.

A new data set is one file with one subclass of `VideoDataset` that has `class_names` and `samples`. If its clips are
video files or folders of frames, it inherits `read`. The built-in moving shapes draw their clips in a `read` of their
own.
"""

from abc import ABC, abstractmethod

from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.decode.sample import decode_sample


class VideoDataset(ABC):
    """A set of labelled clips.

    Attributes:
      class_names: tuple of str, in the order of the labels.
      splits: tuple of str, e.g. ``("train", "validation")``.
      max_boxes: the largest number of boxes in a frame; 0 if the data set has no boxes.
      flip_labels: the label after a left-right mirror, by label, e.g. ``{0: 1, 1: 0}`` for left and right. A label that
        is not in it does not change. None (the default) means that a mirror may change labels in an unknown way.
      reverse_labels: the same for a clip that is played backwards; None if it is not known.
      origin: the class, ``module:Class`` or ``my_file.py:Class``. Set by `VideoDataset`.
      arguments: the arguments that the data set was made with, positional and by name. Set by `VideoDataset`.
      reads_files: whether the class inherits `read`. Set by `VideoDataset`.
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
        # A decode process makes the same data set from these (`tfvid.data.decode.worker.ClipSource`).
        dataset = super().__new__(cls)
        dataset.origin = f"{cls.__module__}:{cls.__qualname__}"
        dataset.arguments = (args, kwargs)
        dataset.reads_files = cls.read is VideoDataset.read
        return dataset

    @abstractmethod
    def samples(self, split: str) -> list[Sample]:
        """Returns the samples of `split`, always in the same order."""

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip:
        """Reads the clip of a sample.

        Args:
          sample: one of `samples`.
          num_frames: T; frames are spread evenly over the sample, and repeated if it has fewer.
          size: (H, W) in pixels; the aspect ratio is not kept.

        Raises:
          VideoError: the file cannot be decoded.
        """
        return decode_sample(sample, num_frames, size)
