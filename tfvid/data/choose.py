"""Which of a dataset's samples are explained."""

from tfvid.data.base import Sample, VideoDataset
from tfvid.errors import ConfigError, unknown


def choose(dataset: VideoDataset, split: str, classes: list[str] | None, limit: int | None) -> list[Sample]:
    """The samples of `split` to explain: of `classes` only, at most `limit`, all classes in turn.

    Taking the classes in turn gives every class its share, and a larger limit adds clips to those of a smaller one.

    Raises:
      ConfigError: no such split or class, or nothing is left.
    """
    if split not in dataset.splits:
        raise ConfigError(unknown("split", split, dataset.splits))
    for name in classes or ():
        if name not in dataset.class_names:
            raise ConfigError(unknown("class", name, dataset.class_names))
    samples = dataset.samples(split)
    if classes:
        samples = [sample for sample in samples if sample.label >= 0 and dataset.class_names[sample.label] in classes]
    if limit is not None:
        turns: dict[int, int] = {}
        order = []
        for place, sample in enumerate(samples):
            turns[sample.label] = turns.get(sample.label, -1) + 1
            order.append((turns[sample.label], place))
        samples = [samples[place] for _, place in sorted(order)[:limit]]
    if not samples:
        raise ConfigError(f"split {split!r} has no clips to explain")
    return samples
