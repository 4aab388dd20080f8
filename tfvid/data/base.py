"""What a dataset is: named classes, named splits, and samples that can be read as clips.

A new dataset is one file with one `VideoDataset` subclass: `class_names` and `samples`. Datasets made of
video files inherit `read`; the built-in moving shapes draw their clips instead.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One labelled stretch of video.

    Attributes:
      id: unique within the dataset.
      label: index into `class_names`; -1 where it is not known (a test split).
      path: the video file or folder of frames; "" for a generated clip.
      start: first frame, 0-based.
      stop: one past the last frame; None means to the end of the file.
      seconds: start and stop in seconds, used instead of those in frames where the video's frame rate is known to its
        decoder only; None otherwise.
    """

    id: str
    label: int
    path: str = ""
    start: int = 0
    stop: int | None = None
    seconds: tuple[float, float | None] | None = None


@dataclass(frozen=True)
class Clip:
    """A decoded clip and what is known about it.

    Attributes:
      frames: uint8 `(T, H, W, 3)`, RGB.
      event: int32 `(2,)`, first and one-past-last frame of the labelled event within the T frames;
        (-1, -1) where it is not known.
      boxes: float32 `(T, N, 4)`, each object's (top, left, bottom, right) in pixels per frame, NaN where
        the object is absent; N is the dataset's `max_boxes`.
      decoded: number of frames the file really held in the asked range (0 for generated clips).
      damage: what is wrong with the file, as words that follow its name ("gives 3 of the 80 frames that its header
        names"); "" where nothing is known to be wrong.
    """

    frames: np.ndarray
    event: np.ndarray = field(default_factory=lambda: np.array([-1, -1], np.int32))
    boxes: np.ndarray | None = None
    decoded: int = 0
    damage: str = ""

    def __post_init__(self):
        if self.boxes is None:
            object.__setattr__(self, "boxes", np.zeros((len(self.frames), 0, 4), np.float32))


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

    def __new__(cls, *args, **kwargs):
        # What a decode process needs to build the same dataset: where its class is, and its arguments.
        dataset = super().__new__(cls)
        dataset.origin = f"{cls.__module__}:{cls.__qualname__}"
        dataset.arguments = (args, kwargs)
        return dataset

    @abstractmethod
    def samples(self, split: str) -> list[Sample]:
        """The samples of `split`, always in the same order."""

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip:
        """Decodes `num_frames` frames spread evenly over `sample`, resized to `size` = (H, W).

        Raises:
          VideoError: the file cannot be decoded.
        """
        from tfvid.data.decode import decode_sample

        return decode_sample(sample, num_frames, size)
