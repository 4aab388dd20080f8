"""Records as columns: the values of each network, method and measure, clip by clip."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfvid.experiments.attribution.measures import Measure
from tfvid.experiments.attribution.records import Record


@dataclass(frozen=True)
class Judged:
    """One network's records.

    Attributes:
      methods: M rows' names, the baselines first; those without any record are not among them.
      measures: K of them.
      clips: ids of N clips.
      values: float64 `(M, K, N)`, NaN where a measure was not taken.
      seconds: by method, of one clip, without those of a first call, which compiles; of all where there are no others.
      correct: share of the clips with a known label that the network gets right; None where none is known.
    """

    methods: list[str]
    measures: list[Measure]
    clips: list[str]
    values: np.ndarray
    seconds: dict[str, float]
    correct: float | None

    def of(self, measure: Measure) -> np.ndarray:
        """The values of a measure, `(M, N)`."""
        return self.values[:, self.measures.index(measure)]


def judged(records: Sequence[Record], methods: Sequence[str], measures: list[Measure], clips: list[str]) -> Judged:
    """One network's records as columns.

    Args:
      records: of the network.
      methods: rows' names in order.
      measures: those of the tables.
      clips: ids in order; records of others are left out.
    """
    place = {id: column for column, id in enumerate(clips)}
    records = [record for record in records if record.clip in place]
    present = [method for method in methods if any(record.method == method for record in records)]
    values = np.full((len(present), len(measures), len(clips)), np.nan)
    for record in records:
        if record.method in present:
            row = values[present.index(record.method)]
            row[:, place[record.clip]] = [record.values.get(measure.name, np.nan) for measure in measures]
    labelled = {record.clip: record.label == record.predicted for record in records if record.label >= 0}
    return Judged(
        methods=present,
        measures=measures,
        clips=clips,
        values=values,
        seconds={method: _seconds([record for record in records if record.method == method]) for method in present},
        correct=float(np.mean(list(labelled.values()))) if labelled else None,
    )


def _seconds(records: list[Record]) -> float:
    settled = [record.seconds for record in records if not record.compiled]
    return float(np.mean(settled or [record.seconds for record in records]))
