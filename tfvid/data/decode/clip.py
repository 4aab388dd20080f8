"""A labelled stretch of video, and the clip that is decoded from it."""

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
    boxes: np.ndarray = None  # type: ignore[assignment]  # below, none become an array of no boxes
    decoded: int = 0
    damage: str = ""

    def __post_init__(self):
        if self.boxes is None:
            object.__setattr__(self, "boxes", np.zeros((len(self.frames), 0, 4), np.float32))
