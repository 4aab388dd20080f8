"""The measures of each clip and model: computed when the clip is explained, saved in Parquet, read as columns.

These are the six measures of Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 4.3. If a dataset has
annotated events, further measures state how well the mask and the map find them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tfvid.core.errors import DataError
from tfvid.metrics.blobs import VARIANTS, blob_statistics
from tfvid.metrics.localization import energy_in_boxes, pointing_hits
from tfvid.metrics.masks import drop_difference, drop_ratio
from tfvid.results.result_store import Result
from tfvid.results.row_store import VERSION, RowStore

NAME = "measures"
# The measures of the paper, in its order.
MEASURES = ("blob_count", "blob_size", "centre_distance", "mask_length", "drop_ratio", "drop_difference")
SCORES = ("original_score", "freeze_score", "reverse_score", "true_score")
OVERLAPS = ("temporal_iou", "temporal_iou_random", "temporal_iou_centred")
PLACES = ("pointing", "pointing_chance", "energy", "energy_chance")
NUMBERS = (*MEASURES, *SCORES, "loss", "full_drop", *OVERLAPS, *PLACES)
# Li et al., arXiv 2005.00375: boxes are enlarged by 15 pixels for frames of height 224.
POINTING_MARGIN = 15 / 224


BLOBS = MEASURES[:3]


def with_detector(measure: str, detector: str) -> str:
    """Returns the name of the column of a blob measure with a detector, a name in `VARIANTS`."""
    return f"{measure} ({detector})" if VARIANTS[detector] else measure


COLUMNS = tuple(
    dict.fromkeys([*NUMBERS, *(with_detector(measure, detector) for detector in VARIANTS for measure in BLOBS)])
)
SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("id", "model")),
        *(pa.field(name, pa.int32()) for name in ("label", "predicted", "target")),
        *(pa.field(name, pa.float64()) for name in COLUMNS),  # null if the clip has no value
    ],
    metadata={VERSION: "1"},
)


def store(folder) -> RowStore:
    """Returns the store ``measures.parquet`` in a study's folder."""
    return RowStore(folder, NAME, SCHEMA)


def measure(records: list[Result], maps: np.ndarray, batch: Mapping, *, smallest_drop: float) -> pa.Table:
    """Computes the measures of explained clips.

    Args:
      records: B records of one model.
      maps: float32 `(B, T, H, W)`, at the clips' resolution.
      batch: contains the ``boxes`` of the clips, float `(B, T, N, 4)`, if the dataset has boxes.
      smallest_drop: a clip has a drop ratio only if both drops are larger, see `tfvid.metrics.masks.drop_ratio`.

    Returns:
      A table with one row per record.

    Raises:
      DataError: a score is NaN or infinite.
    """
    scores = {name: np.array([getattr(record, name) for record in records]) for name in SCORES}
    for name in SCORES[:3]:
        wrong = np.flatnonzero(~np.isfinite(scores[name]))
        if wrong.size:
            record = records[wrong[0]]
            raise DataError(f"model {record.model!r}: the {name} of clip {record.id} is {scores[name][wrong[0]]}")
    original, frozen, reversed_ = (scores[name] for name in SCORES[:3])
    ratio, kept = drop_ratio(original, frozen, reversed_, smallest_drop)
    columns = scores | {
        "mask_length": [record.mask_length for record in records],
        "drop_ratio": np.where(kept, ratio, np.nan),
        "drop_difference": drop_difference(frozen, reversed_),
        **{name: [getattr(record, name) for record in records] for name in ("loss", "full_drop", *OVERLAPS)},
        **_places(maps, batch.get("boxes")),
    }
    for detector, settings in VARIANTS.items():
        names = [with_detector(name, detector) for name in BLOBS]
        columns |= dict(zip(names, blob_statistics(maps, settings), strict=True))
    texts = {name: [getattr(record, name) for record in records] for name in ("id", "model")}
    labels = {name: [getattr(record, name) for record in records] for name in ("label", "predicted", "target")}
    numbers = {
        name: pa.array(np.asarray(values, np.float64), from_pandas=True)  # NaN to null
        for name, values in columns.items()
    }
    return pa.table(texts | labels | numbers).select(SCHEMA.names).cast(SCHEMA)


def _places(maps: np.ndarray, boxes) -> dict[str, np.ndarray]:
    """Returns the share of frames whose maximum lies in a box, the share of the map in the boxes, and chance levels."""
    if boxes is None or not boxes.shape[2]:
        return {name: np.full(len(maps), np.nan) for name in PLACES}
    margin = POINTING_MARGIN * maps.shape[2]
    hits, counted = pointing_hits(maps, boxes, margin)
    hits &= maps.max(axis=(2, 3)) > 0  # a frame of zeros has no maximum
    frames = counted.sum(axis=1)
    known, even = frames > 0, np.ones_like(maps)
    places = {
        "pointing": (hits & counted).sum(axis=1) / np.maximum(frames, 1),
        "pointing_chance": energy_in_boxes(even, boxes + margin * np.array([-1, -1, 1, 1])),
        "energy": energy_in_boxes(maps, boxes),
        "energy_chance": energy_in_boxes(even, boxes),
    }
    return {name: np.where(known, values, np.nan) for name, values in places.items()}


@dataclass(frozen=True)
class Measured:
    """The measures of the clips that every model of a study explained.

    Attributes:
      groups: names of the models by group, in order.
      ids: of the N clips, in the dataset's order.
      labels: int `(N,)`, the label of each clip in the models' numbering.
      columns: by model, then by name: float64 `(N,)`, NaN for a missing value.
    """

    groups: dict[str, list[str]]
    ids: list[str]
    labels: np.ndarray
    columns: dict[str, dict[str, np.ndarray]]

    def values(self, name: str, measure: str) -> np.ndarray:
        """Returns the values of a measure, `(N,)`. The value of a group is the mean over its models with a value.

        Args:
          name: of a model or a group.
          measure: name of the measure.
        """
        if name not in self.groups:
            return self.columns[name][measure]
        return mean_over([self.columns[model][measure] for model in self.groups[name]])


def mean_over(columns: list[np.ndarray]) -> np.ndarray:
    """Returns the mean of several columns `(N,)` in each row, without NaN; NaN for a row of NaN only."""
    stacked = np.stack(columns)
    known = np.isfinite(stacked)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan), where=known.any(axis=0))


def read(folder, groups: dict[str, list[str]], ids: list[str]) -> Measured:
    """Reads the measures in `folder`.

    Args:
      folder: of a study.
      groups: names of the models by group.
      ids: of the wanted clips. A clip without a row of every model, e.g. an unreadable clip, is left out.

    Raises:
      DataError: no clip is left, or a file cannot be read.
    """
    models = [model for names in groups.values() for model in names]
    wanted, place = set(ids), {id: row for row, id in enumerate(ids)}
    columns = {model: {name: np.full(len(ids), np.nan) for name in COLUMNS} for model in models}
    labels, seen = np.full(len(ids), -1), {model: np.zeros(len(ids), bool) for model in models}
    for table in store(folder).batches():
        for row in table.to_pylist():
            if row["id"] not in wanted or row["model"] not in columns:
                continue
            at = place[row["id"]]
            labels[at], seen[row["model"]][at] = row["label"], True
            for name in COLUMNS:
                if row[name] is not None:
                    columns[row["model"]][name][at] = row[name]
    kept = np.logical_and.reduce(list(seen.values()))
    if not kept.any():
        raise DataError(f"{folder}: none of the {len(ids)} clips was explained with every model")
    return Measured(
        groups,
        [id for id, fine in zip(ids, kept, strict=True) if fine],
        labels[kept],
        {model: {name: values[kept] for name, values in own.items()} for model, own in columns.items()},
    )
