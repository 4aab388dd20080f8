"""Weizmann actions as silhouettes: ten actions by nine persons, where each pixel of the person is known.

Blank, Gorelick, Shechtman, Irani & Basri, "Actions as Space-Time Shapes", ICCV 2005. The published
``classification_masks.mat`` has 93 sequences of 144 x 180 pixels.
"""

import re
from collections.abc import Sequence

import numpy as np

from tfvid.core.errors import DataError, unknown
from tfvid.core.sampling import even_indices
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.decode.resize import resize_into
from tfvid.data.sources.annotated import boxes_of
from tfvid.data.sources.matlab import read_masks
from tfvid.data.sources.root import existing_folder
from tfvid.data.sources.shapes import box_of

ACTIONS = ("bend", "jack", "jump", "pjump", "run", "side", "skip", "walk", "wave1", "wave2")
PERSONS = ("daria", "denis", "eli", "ido", "ira", "lena", "lyova", "moshe", "shahar")
VALIDATION_PERSONS = ("lyova", "moshe", "shahar")
MASKS = "classification_masks.mat"

# "lena_walk2" is the second walk of Lena; "wave1" and "wave2" are actions.
_NAME = re.compile(rf"(?P<person>[a-z]+)_(?P<action>{'|'.join(ACTIONS)})\d?")


class Weizmann(VideoDataset):
    """The Weizmann actions as white silhouettes on black, split by persons.

    The box of a frame is that of the silhouette; `masks` returns the silhouette itself. The event is not known, because
    the person acts in all frames.

    Args:
      root: the folder with ``classification_masks.mat``.
      validation_persons: the persons that are held out; all others are for training.

    Attributes:
      flip_labels: empty, because a mirror changes no label.

    Raises:
      DataError: the folder or the file is missing, the file is not as published, or there is no such person.
    """

    class_names = ACTIONS
    max_boxes = 1
    flip_labels = {}

    def __init__(self, root, *, validation_persons: Sequence[str] = VALIDATION_PERSONS):
        self._file = existing_folder(root) / MASKS
        if not self._file.is_file():
            raise DataError(f"{self._file}: no such file")
        if isinstance(validation_persons, str):
            raise DataError(f"validation_persons must be a list of names, got {validation_persons!r}")
        for person in validation_persons:
            if person not in PERSONS:
                raise DataError(unknown("person", person, PERSONS))
        self._masks = read_masks(self._file)
        self._samples: dict[str, list[Sample]] = {"train": [], "validation": []}
        for name in sorted(self._masks):
            parts = _NAME.fullmatch(name)
            if parts is None or parts["person"] not in PERSONS:
                raise DataError(f"{self._file}: {name}: expected <person>_<action>, e.g. daria_bend")
            split = "validation" if parts["person"] in validation_persons else "train"
            self._samples[split].append(Sample(name, ACTIONS.index(parts["action"]), str(self._file)))

    def samples(self, split: str) -> list[Sample]:
        if split not in self.splits:
            raise DataError(f"{self._file.parent}: {unknown('split', split, self.splits)}")
        return list(self._samples[split])

    def silhouette(self, sample: Sample) -> np.ndarray:
        """Returns the silhouettes of all frames of a sequence, bool `(frames, 144, 180)`."""
        (frames, height, width), bits = self._masks[sample.id]
        return np.unpackbits(bits, axis=1, count=height * width).reshape(frames, height, width).astype(bool)

    def masks(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> np.ndarray:
        """Returns the pixels of the person in each frame of the clip that `read` returns.

        Args:
          sample: one of `samples`.
          num_frames: T.
          size: (H, W) in pixels.

        Returns:
          bool `(T, H, W)`: pixels of which the silhouette covers at least half.
        """
        return self.read(sample, num_frames, size).frames[..., 0] >= 128

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip:
        silhouettes = self.silhouette(sample)
        taken = silhouettes[even_indices(len(silhouettes), num_frames)]
        frames = np.empty((num_frames, *size, 3), np.uint8)
        for frame, silhouette in zip(frames, taken, strict=True):
            resize_into(frame, np.repeat(silhouette[..., None] * np.uint8(255), 3, axis=2))
        boxes = boxes_of([box_of(silhouette) for silhouette in taken], 1, taken.shape[1:], size)
        return Clip(frames, boxes=boxes, decoded=len(silhouettes))
