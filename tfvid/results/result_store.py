"""The per-clip store: one record for each clip and model, in Parquet, safe against a kill at any moment.

    <folder>/results.parquet       every record, once `ResultStore.merge` has run
    <folder>/results.parts/*.parquet  records appended since

A run that was killed goes on where it stopped, see `tfvid.results.row_store`. The columns are described in
docs/results.md; any Parquet reader can read them.
"""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from tfvid.core.errors import ConfigError, DataError, first_of, one_line
from tfvid.results.row_store import VERSION, RowStore

NAME = "results"
# What is said of a clip that is `still`, with its number of frames.
STILL = "All {} frames of this clip are identical: the mask says nothing about time."


def still_line(ids: Sequence[str]) -> str:
    """What is said of several clips that are `still`, one or more, in one line that names the first of them."""
    clips = "1 clip has" if len(ids) == 1 else f"{len(ids)} clips have"
    return one_line(f"{clips} only identical frames, so that a mask says nothing about time: {first_of(ids, 5)}")


@dataclass(frozen=True)
class Result:
    """What one model's explanation of one clip says. Scores are softmax probabilities.

    Attributes:
      id: the clip's, unique in its dataset.
      model: name of the model.
      path: the video file; "" for a generated clip.
      label: the true class; -1 where it is not known.
      label_name: its name; "".
      predicted: the class the model gives the clip.
      predicted_name: its name.
      target: the class explained.
      target_name: its name.
      perturbation: what the mask does to a frame, e.g. "freeze".
      original_score: OS, of the target on the clip.
      freeze_score: FS, on the clip frozen by the mask.
      reverse_score: RS, on the clip reversed by the mask.
      true_score: CS, of the true class on the clip; NaN where it is not known.
      mask: float32 `(T,)` in [0, 1], 1 = perturbed.
      mask_length: frames with a mask value above 0.5.
      loss: the three terms together, at the end.
      length_term: lambda_1 times the mask's sum.
      variation_term: lambda_2 times its total variation.
      score_term: the target's score under the mask.
      iterations: steps taken.
      full_drop: how far perturbing the whole clip lowers the score; below a tenth of OS the mask says little.
      map: float32 `(T', H', W')`, Grad-CAM on its layer's own grid, not normalised.
      size: (H, W) of the frames the model saw.
      event: [start, stop) of the known event in frames; (-1, -1) where it is not known.
      temporal_iou: of the mask with the event; NaN where it is not known.
      temporal_iou_random: the mean over all windows of the mask's length.
      temporal_iou_centred: of the centred window of the mask's length.
      settings: JSON of everything that shaped the record: the model's weights, the explainers' options.
      gif, mp4, webp, reversed, sheet, reel: files made for the clip, relative to the store's folder; "" for none.
      top: the classes of the highest probabilities on the clip, highest first: five, or all where the model has fewer;
        empty in records of earlier versions, as the next two.
      top_names: their names.
      top_scores: float32 `(min(5, K),)`, their probabilities.
      damage: what is wrong with the video file; "" where nothing is known to be.
      still: whether all frames of the clip, as given to the model, are identical: its mask says nothing about time.
    """

    id: str
    model: str
    path: str
    label: int
    label_name: str
    predicted: int
    predicted_name: str
    target: int
    target_name: str
    perturbation: str
    original_score: float
    freeze_score: float
    reverse_score: float
    true_score: float
    mask: np.ndarray
    mask_length: int
    loss: float
    length_term: float
    variation_term: float
    score_term: float
    iterations: int
    full_drop: float
    map: np.ndarray
    size: tuple[int, int]
    event: tuple[int, int] = (-1, -1)
    temporal_iou: float = float("nan")
    temporal_iou_random: float = float("nan")
    temporal_iou_centred: float = float("nan")
    settings: str = "{}"
    gif: str = ""
    mp4: str = ""
    webp: str = ""
    reversed: str = ""
    sheet: str = ""
    reel: str = ""
    top: tuple[int, ...] = ()
    top_names: tuple[str, ...] = ()
    top_scores: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    damage: str = ""
    still: bool = False

    @property
    def correct(self) -> bool | None:
        """Whether the prediction is the true class; None where that is not known."""
        return None if self.label < 0 else self.predicted == self.label


def _column(item: dataclasses.Field) -> list[pa.Field]:
    if item.name == "map":  # Parquet has no arrays of several dimensions: values in C order, and their shape.
        return [pa.field("map", pa.list_(pa.float32())), pa.field("map_shape", pa.list_(pa.int32(), 3))]
    kinds: dict[object, pa.DataType] = {str: pa.string(), int: pa.int32(), float: pa.float32(), bool: pa.bool_()}
    kinds |= {np.ndarray: pa.list_(pa.float32()), tuple[int, int]: pa.list_(pa.int32(), 2)}
    kinds |= {tuple[int, ...]: pa.list_(pa.int32()), tuple[str, ...]: pa.list_(pa.string())}
    return [pa.field(item.name, kinds[item.type])]


SCHEMA = pa.schema(
    [column for item in dataclasses.fields(Result) for column in _column(item)],
    metadata={VERSION: "1"},
)
# Columns that records of earlier versions lack.
DEFAULTS = {"top": [], "top_names": [], "top_scores": [], "damage": "", "still": False}


def _row_store(folder) -> RowStore:
    return RowStore(folder, NAME, SCHEMA, DEFAULTS)


def to_table(results: Iterable[Result]) -> pa.Table:
    """The records as an Arrow table of `SCHEMA`."""
    rows = []
    for result in results:
        row = {item.name: getattr(result, item.name) for item in dataclasses.fields(Result)}
        heat = np.asarray(result.map, np.float32)
        arrays = {name: np.asarray(row[name]) for name in ("mask", "top_scores")}
        rows.append(row | arrays | {"map": heat.ravel(), "map_shape": list(heat.shape)})
    return pa.Table.from_pylist(rows, SCHEMA)


def from_table(table: pa.Table) -> list[Result]:
    """The records of `to_table`'s table, masks and maps as float32 arrays; maps `(0, 0, 0)` of one without maps."""
    results = []
    for row in table.to_pylist():
        shape = row.pop("map_shape", (0, 0, 0))
        row["map"] = np.asarray(row.get("map", ()), np.float32).reshape(shape)
        row["mask"] = np.asarray(row["mask"], np.float32)
        row["size"], row["event"] = tuple(row["size"]), tuple(row["event"])
        row["top"], row["top_names"] = tuple(row["top"]), tuple(row["top_names"])
        row["top_scores"] = np.asarray(row["top_scores"], np.float32)
        counts = {len(row[name]) for name in ("top", "top_names", "top_scores")}
        if len(counts) > 1 or None in row["top"] + row["top_names"]:
            raise ValueError("top, top_names and top_scores do not belong together")
        results.append(Result(**row))
    return results


def read_results(folder, *, maps: bool = True) -> list[Result]:
    """Every record of the store in `folder`, in the order written, one a clip and model.

    Args:
      folder: of the store.
      maps: without them, the larger part of a record is not read, and each `map` is `(0, 0, 0)`.

    Raises:
      DataError: there is no store, or one of its files cannot be read or is of another version.
    """
    rows = _row_store(folder)
    if not rows.files():
        raise DataError(f"{folder}: no results here (no {rows.merged.name})")
    columns = [name for name in SCHEMA.names if maps or name not in ("map", "map_shape")]
    results = []
    for table in rows.batches(columns):
        missing = [name for name in columns if table[name].null_count]
        try:
            results += [] if missing else from_table(table)
        except ValueError as error:  # a map of another size than it says, more scores than classes, ...
            missing = [f"map or top ({error})"]
        if missing:
            place = rows.merged if rows.merged.exists() else rows.parts
            raise DataError(f"{place}: a record has no usable value of {', '.join(missing)}")
    return results


@dataclass
class ResultStore:
    """Appends records to a folder and says which are there already.

    Attributes:
      folder: made by the first `append`.
    """

    folder: Path
    _rows: RowStore = field(init=False, repr=False)
    _done: dict[str, set[str]] = field(init=False, repr=False)
    _settings: dict[str, str] = field(init=False, repr=False)

    def __post_init__(self):
        self.folder = Path(self.folder)
        self._rows = _row_store(self.folder)
        self._done, self._settings = {}, {}
        for table in self._rows.batches(["id", "model", "settings"]):
            for row in table.to_pylist():
                self._done.setdefault(row["model"], set()).add(row["id"])
                self._settings[row["model"]] = row["settings"]

    @property
    def merged(self) -> Path:
        return self._rows.merged

    @property
    def parts(self) -> Path:
        return self._rows.parts

    def files(self) -> list[Path]:
        """The files that hold the records, oldest first."""
        return self._rows.files()

    def done(self, model: str) -> set[str]:
        """Ids of the clips that `model` has a record for."""
        return set(self._done.get(model, ()))

    def check(self, model: str, settings: dict):
        """Makes sure that `model`'s records here were made with `settings`, so that they may stand together.

        Raises:
          ConfigError: they were not; the message names what differs.
          DataError: the records do not say.
        """
        if model not in self._settings:
            return
        try:
            made_with = dict(json.loads(self._settings[model]))
        except (ValueError, TypeError, RecursionError) as error:
            raise DataError(f"{self.folder}: the settings of {model!r} are not JSON ({error})") from None
        changed = differences(made_with, json.loads(json.dumps(settings)))
        if changed:
            raise ConfigError(
                f"{self.folder}: holds results of {model!r} made differently ({'; '.join(changed)}); "
                "choose another folder, or remove this one"
            )

    def append(self, results: list[Result]):
        """Writes `results` as one part: after this returns they survive a kill."""
        if not results:
            return
        self._rows.append(to_table(results))
        for result in results:
            self._done.setdefault(result.model, set()).add(result.id)
            self._settings[result.model] = result.settings

    def merge(self):
        """Makes ``results.parquet`` of everything there is and removes the parts."""
        self._rows.merge()


class ResultPart:
    """Records of one shard, written as one part with the shard's name: made twice, it is there once.

    What `explain_clips` wants of a store; the records of a folder are read by `ResultStore`.

    Args:
      folder: of the store.
      name: of the part; parts are merged in the order of their names.
    """

    def __init__(self, folder, name: str):
        self._rows, self.name = _row_store(folder), name
        self._results: list[Result] = []

    def done(self, model: str) -> set[str]:
        """Ids of the clips that this part has a record for already."""
        return {result.id for result in self._results if result.model == model}

    def check(self, model: str, settings: dict):
        """Nothing: who gives out the shards has checked that the folder's records were made with `settings`."""

    def append(self, results: list[Result]):
        """Keeps `results` for `write`."""
        self._results += results

    def write(self):
        """Writes the part, whole or not at all; no part where there are no records."""
        if self._results:
            self._rows.append(to_table(self._results), self.name)


def differences(old: dict, new: dict) -> list[str]:
    """What differs between two flat mappings of settings, a phrase each."""
    return [
        f"{key} was {old.get(key, 'not set')}, is {new.get(key, 'not set')}"
        for key in sorted(old | new)
        if old.get(key) != new.get(key)
    ]
