"""Whether the source of a clip gives its class away, and the accuracy on sources that do not.

Clips of one source (a camera, a film, a person) share a look. If all clips of a source are of one class, a model can
learn the look instead of the class. The labels alone show this, so all clips of the data set count, not only those that
the model is asked about. The accuracy on sources of several classes is free of it.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample
from tfvid.data.sources.groups import grouped_example, name_prefix
from tfvid.metrics.statistics import comparison, holm


@dataclass(frozen=True)
class Source:
    """A source of the data set.

    Attributes:
      name: of the source.
      clips: number of its clips in all splits.
      classes: number of clips by class name.
      p: the chance that as many clips drawn at random are all of this class, with Holm's correction over the sources;
        None for a source of several classes.
    """

    name: str
    clips: int
    classes: dict[str, int]
    p: float | None

    @property
    def gives_away(self) -> bool:
        """Whether its clips are of one class only, and that is no accident at 5 %."""
        return self.p is not None and self.p < 0.05


@dataclass(frozen=True)
class Shared:
    """The accuracy on sources of several classes, against that on sources of one class.

    Attributes:
      clips_shared, clips_single: the number of clips of both kinds.
      top1_shared, top1_single: the accuracy on them; None without clips.
      fall: `top1_single` - `top1_shared`; None if one is None.
      low, high: its 95 % bootstrap interval, or None.
    """

    clips_shared: int
    clips_single: int
    top1_shared: float | None
    top1_single: float | None
    fall: float | None
    low: float | None
    high: float | None


def source_names(dataset: VideoDataset, samples: Sequence[Sample]) -> list[str]:
    """Returns the source of each clip, "" where it is not known.

    It is what the data set's method `source` says; else what the names of the files share before a counter
    (``video01_3``), if most names look like that.
    """
    if hasattr(dataset, "source"):
        return [str(dataset.source(sample)) for sample in samples]
    ids = [sample.id for sample in samples]
    if not samples or not grouped_example(ids, [sample.label for sample in samples]):
        return [""] * len(samples)
    return [name_prefix(id) for id in ids]


def all_sources(dataset: VideoDataset) -> list[Source]:
    """Returns the sources of all labelled clips of a data set, those that give their class away first."""
    samples = [sample for split in dataset.splits for sample in dataset.samples(split) if sample.label >= 0]
    labels = [dataset.class_names[sample.label] for sample in samples]
    return sources(source_names(dataset, samples), labels)


def sources(names: Sequence[str], labels: Sequence[str]) -> list[Source]:
    """Returns the sources, by their p-values, then by their size.

    Args:
      names: the source of each clip; "" is left out.
      labels: the class name of each clip.
    """
    share = {label: count / len(labels) for label, count in Counter(labels).items()}
    classes: dict[str, Counter] = defaultdict(Counter)
    for name, label in zip(names, labels, strict=True):
        if name:
            classes[name][label] += 1
    raw = [share[next(iter(of))] ** of.total() if len(of) == 1 and len(share) > 1 else None for of in classes.values()]
    found = [Source(name, of.total(), dict(of), p) for (name, of), p in zip(classes.items(), holm(raw), strict=True)]
    return sorted(found, key=lambda source: (2.0 if source.p is None else source.p, -source.clips))


def shared_accuracy(names: Sequence[str], right: np.ndarray, of: Sequence[Source], seed: int = 0) -> Shared | None:
    """Returns the accuracy on both kinds of sources; None if no source has several clips.

    Args:
      names: the source of each clip.
      right: 1 where the model is right, else 0, `(N,)`.
      of: all sources of the data set.
      seed: of the bootstrap.
    """
    if not any(source.clips > 1 for source in of):
        return None
    shared = {source.name for source in of if len(source.classes) > 1}
    known = np.array([bool(name) for name in names])
    is_shared = np.array([name in shared for name in names])
    both, one = right[known & is_shared], right[known & ~is_shared]
    result = comparison(one, both, paired=False, seed=seed)
    return Shared(
        len(both),
        len(one),
        float(both.mean()) if len(both) else None,
        float(one.mean()) if len(one) else None,
        result.difference,
        result.low,
        result.high,
    )
