"""A sample, which is a labelled part of a video, and the clip that is decoded from it."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One labelled part of a video.

    Attributes:
      id: unique within the data set.
      label: index into `class_names`; -1 if it is not known (a test split).
      path: the video file or folder of frames; "" for a generated clip.
      start: first frame, 0-based.
      stop: one past the last frame; None for the end of the file.
      seconds: start and stop in seconds, which replace those in frames: the decoder finds the frames by the time stamps
        of the file. None otherwise.
    """

    id: str
    label: int
    path: str = ""
    start: int = 0
    stop: int | None = None
    seconds: tuple[float, float | None] | None = None


@dataclass(frozen=True)
class Clip:
    """A decoded clip, its annotations, and the damage of its file.

    Attributes:
      frames: uint8 `(T, H, W, 3)`, RGB.
      event: int32 `(2,)`, first and one-past-last frame of the labelled event within the T frames; (-1, -1) if it is
        not known.
      boxes: float32 `(T, N, 4)`, (top, left, bottom, right) of each object in each frame, in pixels; NaN where the
        object is absent. N is the `max_boxes` of the data set.
      decoded: number of frames that the file has in the range of the sample; 0 for a generated clip.
      damage: what is wrong with the file, e.g. "gives 3 of the 80 frames that its header names"; "" if nothing is known
        to be wrong.
      seconds: when each of the T frames is shown, in seconds after the first frame of the file; () if it is not asked
        for or not known.
    """

    frames: np.ndarray
    event: np.ndarray = field(default_factory=lambda: np.array([-1, -1], np.int32))
    boxes: np.ndarray = None  # type: ignore[assignment]  # None becomes an array of no boxes below
    decoded: int = 0
    damage: str = ""
    seconds: tuple[float, ...] = ()

    def __post_init__(self):
        if self.boxes is None:
            object.__setattr__(self, "boxes", np.zeros((len(self.frames), 0, 4), np.float32))
