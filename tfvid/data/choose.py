"""Chooses the samples of a data set that a command works on."""

from collections import Counter
from collections.abc import Sequence

from tfvid.core.errors import ConfigError, unknown
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample


def choose(dataset: VideoDataset, split: str, classes: list[str] | None, limit: int | None) -> list[Sample]:
    """Returns samples of a split; with a limit, the classes take turns.

    So every class has its share, and a larger limit adds clips to those of a smaller limit.

    Args:
      dataset: the data set.
      split: one of its splits.
      classes: names of the classes to keep; None for all.
      limit: the largest number of samples; None for all.

    Raises:
      ConfigError: there is no such split or class, or no sample is left.
    """
    if split not in dataset.splits:
        raise ConfigError(unknown("split", split, dataset.splits))
    for name in classes or ():
        if name not in dataset.class_names:
            raise ConfigError(unknown("class", name, dataset.class_names))
    samples = dataset.samples(split)
    if classes:
        samples = [sample for sample in samples if sample.label >= 0 and dataset.class_names[sample.label] in classes]
    if not samples:
        raise ConfigError(f"split {split!r} has no clips")
    return samples if limit is None else in_turn(samples)[:limit]


def in_turn(samples: Sequence[Sample]) -> list[Sample]:
    """Returns the first sample of each class, then the second of each class, and so on."""
    turns: Counter[int] = Counter()
    order = []
    for place, sample in enumerate(samples):
        order.append((turns[sample.label], place))
        turns[sample.label] += 1
    return [samples[place] for _, place in sorted(order)]
