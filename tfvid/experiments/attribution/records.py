"""The records of a benchmark: a Parquet row for each network, method and clip, written when the clip is done."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pyarrow as pa

from tfvid.config import MeasureConfig, MethodConfig
from tfvid.metrics.baselines import BASELINES
from tfvid.results.row_store import VERSION, RowStore

NAME = "records"
CELLS = 16  # maximum number of cells of a stored map along each side of a frame
SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("model", "id", "method", "clip", "made_by")),
        *(pa.field(name, pa.int32()) for name in ("label", "target", "predicted")),
        pa.field("seconds", pa.float64()),
        pa.field("compiled", pa.bool_()),  # whether the seconds include compilation
        pa.field("values", pa.map_(pa.string(), pa.float64())),  # by measure; null if the clip has no value
        pa.field("coarse", pa.binary()),  # the map, at most float16 (T, CELLS, CELLS), with the largest magnitude 1
        pa.field("coarse_shape", pa.list_(pa.int32())),
    ],
    metadata={VERSION: "1"},
)


@dataclass(frozen=True)
class Record:
    """One row.

    Attributes:
      network: its name.
      method: the row's label in the configuration, or one of the baselines.
      clip: its id.
      made_by: digest of what the record depends on, see `made_by`; a record with another digest is computed again.
      label: of the clip, in the network's numbering; -1 if unknown.
      target: the class explained.
      predicted: the network's top class.
      seconds: duration of the explanation.
      compiled: whether it was the first call, which compiles.
      values: by measure; NaN if the clip has none. Measures that were not computed are absent.
      coarse: float16 `(T, h, w)`, the map at low resolution, with the largest magnitude 1.
    """

    network: str
    method: str
    clip: str
    made_by: str
    label: int
    target: int
    predicted: int
    seconds: float
    compiled: bool
    values: Mapping[str, float]
    coarse: np.ndarray


def store(folder) -> RowStore:
    """Returns the store ``records.parquet`` in the benchmark's folder."""
    return RowStore(folder, NAME, SCHEMA)


def rows(records: list[Record]) -> pa.Table:
    """Converts records to rows of the store."""
    return pa.Table.from_pylist(
        [
            {
                "model": record.network,
                "id": f"{record.method}\x1f{record.clip}",  # the key of a row, see `RowStore`
                "method": record.method,
                "clip": record.clip,
                "made_by": record.made_by,
                "label": int(record.label),
                "target": int(record.target),
                "predicted": int(record.predicted),
                "seconds": float(record.seconds),
                "compiled": bool(record.compiled),
                "values": [(name, None if np.isnan(value) else float(value)) for name, value in record.values.items()],
                "coarse": np.asarray(record.coarse, np.float16).tobytes(),
                "coarse_shape": list(record.coarse.shape),
            }
            for record in records
        ],
        SCHEMA,
    )


def read(folder, wanted: Mapping[tuple[str, str], str], with_maps: bool = False) -> list[Record]:
    """Reads the records that have the wanted digests.

    Args:
      folder: of the benchmark.
      wanted: digests by network and method, from `made_by`.
      with_maps: whether to read `coarse`, too; False: it is empty.
    """
    columns = [name for name in SCHEMA.names if with_maps or not name.startswith("coarse")]
    found = []
    for table in store(folder).batches(columns):
        for row in table.to_pylist():
            if wanted.get((row["model"], row["method"])) == row["made_by"]:
                found.append(_record(row))
    return found


def _record(row: dict) -> Record:
    shape = row.get("coarse_shape", [0, 0, 0])
    return Record(
        network=row["model"],
        values={name: np.nan if value is None else value for name, value in row["values"]},
        coarse=np.frombuffer(row.get("coarse", b""), np.float16).reshape(shape),
        **{
            name: row[name]
            for name in ("method", "clip", "made_by", "label", "target", "predicted", "seconds", "compiled")
        },
    )


def made_by(
    methods: Sequence[MethodConfig], measures: Sequence[MeasureConfig], weights: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    """Computes, for each network and method, a digest of the weights and of the options of method and measures.

    Args:
      methods: the methods, with the baselines.
      measures: the measures.
      weights: the digest of the weights of each network.
    """
    digests = {}
    for network, own in weights.items():
        for method in methods:
            taken = {m.name: m.options for m in measures if m.name not in method.without}
            made_of = json.dumps([own, method.name, method.options, taken], sort_keys=True, default=str)
            digests[network, method.row] = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    return digests


def with_baselines(methods: Sequence[MethodConfig]) -> list[MethodConfig]:
    """Returns all rows of a network: the baselines, which do not use the network, and the methods."""
    return [*(MethodConfig(name) for name in BASELINES), *methods]


def coarse(maps: np.ndarray) -> np.ndarray:
    """Averages maps over cells of equal size: float32 `(B, T, H, W)` to float16 `(B, T, h, w)`.

    Each map is scaled so that its largest magnitude is 1; a map of zeros is not changed.
    """
    height, width = (min(CELLS, side) for side in maps.shape[2:])
    small = np.stack(
        [
            [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in of_clip]
            for of_clip in np.ascontiguousarray(maps, np.float32)
        ]
    )
    largest = np.abs(small).max(axis=(1, 2, 3), keepdims=True)
    return np.divide(small, largest, out=np.zeros_like(small), where=largest > 0).astype(np.float16)
