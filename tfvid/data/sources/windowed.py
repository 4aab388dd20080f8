"""Real clips whose motion lies in a known window: they stand still before it and after it.

Where nobody marked when the action happens, the truth is made: frames before a random frame a show frame a, frames
after a random frame b show frame b. All that moves in the clip then moves in [a, b]. Whether the class is still to be
seen is another question, which a model answers: `tfvid.experiments.survival`.

A window is a pure function of (seed, id of the clip, T).
"""

import dataclasses
import zlib

import numpy as np

from tfvid.core.errors import ConfigError
from tfvid.data.base import VideoDataset
from tfvid.data.datasets import named_dataset
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.sources.shapes import event_window


class Windowed(VideoDataset):
    """The clips of another data set, each with motion in a random window of 30 to 60 % of its frames only.

    Frames outside the window show its first or its last frame (`tfvid.perturb.hold`). The boxes are those of the frames
    that are shown. The event is the window.

    Args:
      root: the folder of the other data set; None for a generated one.
      dataset: its name, or ``"my_file.py:MyDataset"``.
      options: its further keyword arguments.
      seed: of the windows.

    Attributes:
      whole: the other data set.

    Raises:
      ConfigError: `dataset` is missing or is itself of this kind.
      TfvidError: the other data set cannot be made.
    """

    def __init__(self, root=None, *, dataset=None, options=None, seed=0):
        if dataset in (None, "windowed"):
            raise ConfigError(
                f"windowed: expected the name of another data set, got {dataset!r}; give it by dataset=... or "
                "data.options.dataset=NAME"
            )
        self.whole = named_dataset(dataset, root, **(options or {}))
        self.class_names, self.splits, self.max_boxes = self.whole.class_names, self.whole.splits, self.whole.max_boxes
        self.flip_labels, self.reverse_labels = self.whole.flip_labels, self.whole.reverse_labels
        self._seed = seed

    def samples(self, split: str) -> list[Sample]:
        return self.whole.samples(split)

    def window(self, sample: Sample, num_frames: int) -> tuple[int, int]:
        """Returns the window [start, stop) of a sample, in frames of its clip.

        Args:
          sample: one of `samples`.
          num_frames: T, 4 or more.

        Raises:
          ConfigError: T is below 4.
        """
        if num_frames < 4:
            raise ConfigError(f"windowed clips need 4 frames or more for rest, motion, rest; got {num_frames}")
        return event_window(np.random.default_rng([self._seed, zlib.crc32(sample.id.encode())]), num_frames)

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip:
        start, stop = self.window(sample, num_frames)
        clip = self.whole.read(sample, num_frames, size)
        shown = np.clip(np.arange(num_frames), start, stop - 1)
        return dataclasses.replace(
            clip,
            frames=clip.frames[shown],
            boxes=clip.boxes[shown],
            event=np.array([start, stop], np.int32),
            seconds=tuple(clip.seconds[frame] for frame in shown) if clip.seconds else (),
        )
