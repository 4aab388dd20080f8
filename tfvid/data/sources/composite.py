"""Human motion over a still background: silhouettes of the Weizmann actions, filled with a texture.

The person, the pixels of the person and the frames in which the person moves are known. So a map can be compared with
the truth of where, and a mask with the truth of when, on human motion.

A clip is a pure function of (seed, split, index).
"""

import zlib
from pathlib import Path

import cv2
import numpy as np

from tfvid.core.arguments import whole_number
from tfvid.core.errors import ConfigError, DataError, unknown
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.decode.clip_files import Found, find_clips
from tfvid.data.decode.sample import decode_sample
from tfvid.data.sources.root import existing_folder
from tfvid.data.sources.shapes import box_of, event_window, make_background, texture
from tfvid.data.sources.weizmann import ACTIONS, VALIDATION_PERSONS, Weizmann

SHARES = 0.4, 0.75  # the shortest and the longest event, as a share of the clip
STEPS = 2.0, 4.0  # frames of the silhouettes (25 a second) from one frame of the clip to the next
HEIGHTS = 0.5, 0.85  # of the space that the person needs, as a share of the frame


class Composite(VideoDataset):
    """Weizmann silhouettes with a texture that act over a still background.

    The person acts during the event, and no pixel changes before or after it. The box is that of the person, and
    `masks` returns the pixels of the person. The persons and the backgrounds of the two splits differ.

    Args:
      root: the folder with ``classification_masks.mat``, see `Weizmann`.
      backgrounds: a folder of videos and of folders of frames, at any depth, whose first frames are the backgrounds;
        every fifth one is for validation. None for drawn textures.
      train: number of clips in the training split.
      validation: number of clips in the validation split.
      seed: of all random numbers.
      validation_persons: the persons of the validation split; all others are for training.

    Attributes:
      flip_labels: empty, because a mirror changes no label.

    Raises:
      DataError: the silhouettes are not as published, or the folder of backgrounds has fewer than two clips.
    """

    class_names = ACTIONS
    max_boxes = 1
    flip_labels = {}

    def __init__(
        self, root, *, backgrounds=None, train=2000, validation=300, seed=0, validation_persons=VALIDATION_PERSONS
    ):
        self._sizes = {
            "train": whole_number(train, "train", 0),
            "validation": whole_number(validation, "validation", 0),
        }
        self._weizmann = Weizmann(root, validation_persons=validation_persons)
        self._seed = seed
        self._actors = {split: _by_action(self._weizmann.samples(split)) for split in self.splits}
        self._backgrounds = _divided(backgrounds)
        for split, size in self._sizes.items():
            missing = [action for action, of in zip(ACTIONS, self._actors[split], strict=True) if not of]
            if size and missing:
                raise DataError(f"{root}: no sequence of {', '.join(missing)} by the persons of {split!r}")

    def samples(self, split: str) -> list[Sample]:
        if split not in self._sizes:
            raise DataError(unknown("split", split, self._sizes))
        return [Sample(f"{split}-{i:06d}", i % len(ACTIONS)) for i in range(self._sizes[split])]

    def masks(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> np.ndarray:
        """Returns the pixels of the person in each frame of the clip that `read` returns.

        Args:
          sample: one of `samples`.
          num_frames: T.
          size: (H, W) in pixels.

        Returns:
          bool `(T, H, W)`: pixels of which the silhouette covers at least half.
        """
        return self._act(self._random(sample), sample, num_frames, size)[0] >= 0.5

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip:
        rng = self._random(sample)
        opacity, event = self._act(rng, sample, num_frames, size)
        background = self._background(rng, sample, size)
        person = _colours(rng, size, background.mean((0, 1)))
        frames = np.empty((num_frames, *size, 3), np.uint8)
        for frame, alpha in zip(frames, opacity, strict=True):
            moved = np.roll(person, _centre(alpha), (0, 1))  # the texture moves with the body
            mixed = background + alpha[..., None] * (moved - background)
            frame[:] = (np.clip(mixed, 0, 1) * 255 + 0.5).astype(np.uint8)
        return Clip(frames, event, np.stack([box_of(alpha) for alpha in opacity])[:, None])

    def _random(self, sample: Sample) -> np.random.Generator:
        return np.random.default_rng([self._seed, zlib.crc32(sample.id.encode())])

    def _act(self, rng, sample: Sample, num_frames: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the opacity of the person, float32 `(T, H, W)` in [0, 1], and the event, int32 `(2,)`."""
        if num_frames < 4:
            raise ConfigError(f"composite clips need 4 frames or more for rest, event, rest; got {num_frames}")
        actors = self._actors[_split(sample)][sample.label]
        silhouettes = self._weizmann.silhouette(actors[rng.integers(len(actors))])
        start, stop = event_window(rng, num_frames, *SHARES)
        moves = stop - start + 1  # from the frame before the event to the one after it
        step = min(rng.uniform(*STEPS), (len(silhouettes) - 1) / moves)
        first = rng.uniform(0, len(silhouettes) - 1 - step * moves)
        phases = np.clip(np.arange(num_frames) - start + 1, 0, moves)
        taken = silhouettes[np.round(first + step * phases).astype(int)]
        return place(rng, taken[..., ::-1] if rng.random() < 0.5 else taken, size), np.array([start, stop], np.int32)

    def _background(self, rng, sample: Sample, size: tuple[int, int]) -> np.ndarray:
        """Returns a still picture, float32 `(H, W, 3)` in [0, 1]."""
        files = self._backgrounds[_split(sample)]
        if not files:
            return make_background(rng, size, "a")[: size[0], : size[1]]
        file = Sample("", -1, str(files[rng.integers(len(files))]))
        return decode_sample(file, 1, size).frames[0].astype(np.float32) / 255


def place(rng, silhouettes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Puts silhouettes into frames: all in one random size, at one random place.

    Args:
      rng: NumPy's random generator.
      silhouettes: bool `(T, H', W')`.
      size: (H, W) in pixels.

    Returns:
      The opacity, float32 `(T, H, W)` in [0, 1].
    """
    box = box_of(np.asarray(silhouettes.any(axis=0), np.float32))
    opacity = np.zeros((len(silhouettes), *size), np.float32)
    if np.isnan(box).any():
        return opacity
    top, left, bottom, right = box.astype(int)
    needed = bottom - top, right - left
    scale = min(rng.uniform(*HEIGHTS) * size[0] / needed[0], 0.95 * size[1] / needed[1])
    height, width = (max(1, min(round(scale * side), most)) for side, most in zip(needed, size, strict=True))
    y, x = rng.integers(0, size[0] - height + 1), rng.integers(0, size[1] - width + 1)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    for frame, silhouette in zip(opacity, silhouettes, strict=True):
        part = silhouette[top:bottom, left:right].astype(np.float32)
        frame[y : y + height, x : x + width] = cv2.resize(part, (width, height), interpolation=how)
    return opacity


def _colours(rng, size: tuple[int, int], background: np.ndarray) -> np.ndarray:
    """Returns a texture whose mean colour differs from that of the background, float32 `(H, W, 3)`."""
    colour = rng.uniform(0, 1, 3)
    while np.abs(colour - background).max() < 0.3:
        colour = rng.uniform(0, 1, 3)
    return (colour + texture(rng, *size, min(size) / 10, 0.12)).astype(np.float32)


def _centre(alpha: np.ndarray) -> tuple[int, int]:
    """Returns the centre (y, x) of the opaque pixels, in whole pixels; (0, 0) if there are none."""
    total = alpha.sum()
    if not total:
        return 0, 0
    return round(float(alpha.sum(1) @ np.arange(alpha.shape[0]) / total)), round(
        float(alpha.sum(0) @ np.arange(alpha.shape[1]) / total)
    )


def _split(sample: Sample) -> str:
    return sample.id.partition("-")[0]


def _by_action(samples: list[Sample]) -> list[list[Sample]]:
    return [[sample for sample in samples if sample.label == label] for label in range(len(ACTIONS))]


def _divided(folder) -> dict[str, list[Path]]:
    """Returns the clips of a folder by split; every fifth one is for validation, and at least the last one."""
    if folder is None:
        return {"train": [], "validation": []}
    found = Found()
    find_clips(existing_folder(folder), found, frames_here=True)
    if len(found.clips) < 2:
        raise DataError(f"{folder}: expected two videos or folders of frames or more, found {len(found.clips)}")
    fifth = min(5, len(found.clips))
    return {
        split: [clip for i, clip in enumerate(found.clips) if (i % fifth == fifth - 1) == (split == "validation")]
        for split in ("train", "validation")
    }
