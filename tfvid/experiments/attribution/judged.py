"""Converts the records of a network to arrays: a value for each method, measure and clip."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfvid.experiments.attribution.measures import Measure
from tfvid.experiments.attribution.records import Record


@dataclass(frozen=True)
class Judged:
    """The values of one network.

    Attributes:
      methods: names of the M rows with records, the baselines first.
      measures: the K measures.
      clips: ids of the N clips.
      values: float64 `(M, K, N)`, NaN for values that were not computed.
      seconds: mean seconds per clip by method, without first calls, which compile; if there are only first calls, the
        mean over these.
      correct: share of the clips with a known label that the network classifies correctly; None if no label is known.
    """

    methods: list[str]
    measures: list[Measure]
    clips: list[str]
    values: np.ndarray
    seconds: dict[str, float]
    correct: float | None

    def of(self, measure: Measure) -> np.ndarray:
        """Returns the values of a measure, `(M, N)`."""
        return self.values[:, self.measures.index(measure)]


def judged(records: Sequence[Record], methods: Sequence[str], measures: list[Measure], clips: list[str]) -> Judged:
    """Converts the records of one network.

    Args:
      records: of the network.
      methods: names of the rows in order.
      measures: the measures of the tables.
      clips: ids in order; records of other clips are ignored.
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
