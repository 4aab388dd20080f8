"""The settings of a data pipeline."""

from dataclasses import dataclass, field
from typing import Any, Literal

from tfvid.core.typed import require


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of training clips. Those of the picture are the same for all frames of a clip.

    Attributes:
      min_scale: a random crop keeps at least this share of height and width, in (0, 1]; 1 is no crop.
      flip: whether half of the clips are mirrored. Refused for a data set without `flip_labels`.
      min_length: a random part of the time keeps at least this share of the frames, in (0, 1]; they are spread over the
        clip, so that it plays more slowly. 1 keeps the speed.
      colour: brightness, contrast and saturation are each multiplied by a random factor in [1 - colour, 1 + colour];
        in [0, 1), 0 keeps the colours.
    """

    min_scale: float = 0.8
    flip: bool = False
    min_length: float = 1.0
    colour: float = 0.0

    def __post_init__(self):
        require(0 < self.min_scale <= 1, "data.augment.min_scale", "in (0, 1]", self.min_scale)
        require(0 < self.min_length <= 1, "data.augment.min_length", "in (0, 1]", self.min_length)
        require(0 <= self.colour < 1, "data.augment.colour", "in [0, 1)", self.colour)


@dataclass(frozen=True)
class DataConfig:
    """The source of clips, and how batches are made of them.

    Attributes:
      dataset: a name in `tfvid.data.DATASETS`, or ``"my_file.py:MyDataset"``.
      root: the folder of the data set; None for a generated one.
      records: a folder of shards written by ``scripts/prepare.py``, which are read instead of the videos.
      options: further keyword arguments of the data set.
      events: "own", those of the data set; or "windowed": each clip stands still outside a random window, which is its
        event (`tfvid.data.Windowed`, with seed 0).
      num_frames: T, the frames of a clip.
      size: (H, W) of a frame in pixels.
      batch_size: number of clips in a batch.
      workers: number of clips that are decoded at once; None for one for each processor core.
      seed: of the order of clips and of the augmentation.
      augment: the augmentation; only training clips are augmented.
      max_bad_share: the run stops when more than this share of clips cannot be read. Of several workers, each counts
        the bad clips that it reads itself, over all epochs, and compares them with all clips.
      max_damaged_share: the run stops when more than this share of clips comes from damaged files, counted in the same
        way; 1.0 is no limit.
      time_limit: seconds that decoding one clip may take.
      service: address of a tf.data service, e.g. ``grpc://host:5000``, whose workers read `records` for training.
    """

    dataset: str = "shapes"
    root: str | None = None
    records: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    events: Literal["own", "windowed"] = "own"
    num_frames: int = 16
    size: tuple[int, int] = (224, 224)
    batch_size: int = 8
    workers: int | None = None
    seed: int = 0
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    max_bad_share: float = 0.1
    max_damaged_share: float = 1.0
    time_limit: float = 60.0
    service: str | None = None

    def __post_init__(self):
        require(
            self.service is None or self.records is not None, "data.service", "used with data.records", self.service
        )
        require(self.events in ("own", "windowed"), "data.events", "own or windowed", self.events)
        require(self.num_frames >= 1, "data.num_frames", "1 or more", self.num_frames)
        is_pair = isinstance(self.size, (list, tuple)) and len(self.size) == 2
        require(is_pair and min(self.size) >= 1, "data.size", "[height, width] of 1 pixel or more", self.size)
        require(self.batch_size >= 1, "data.batch_size", "1 or more", self.batch_size)
        require(self.workers is None or self.workers >= 1, "data.workers", "1 or more", self.workers)
        for name in ("max_bad_share", "max_damaged_share"):
            require(0 <= getattr(self, name) <= 1, f"data.{name}", "in [0, 1]", getattr(self, name))
        require(self.time_limit > 0, "data.time_limit", "above 0 seconds", self.time_limit)
