"""The store of results: one record per clip and model, in Parquet files that stay valid if the process is killed.

    <folder>/results.parquet          all records after `ResultStore.merge`
    <folder>/results.parts/*.parquet  the records appended since then

A run that was killed continues where it stopped, see `tfvid.results.row_store`. docs/results.md describes the columns.
Any Parquet reader can read the files.
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
# The message about a clip that is `still`, with its number of frames.
STILL = "All {} frames of this clip are identical: the mask says nothing about time."


def still_line(ids: Sequence[str]) -> str:
    """Returns the one-line message about one or more clips that are `still`; it names the first five of them."""
    clips = "1 clip has" if len(ids) == 1 else f"{len(ids)} clips have"
    return one_line(f"{clips} only identical frames, so that a mask says nothing about time: {first_of(ids, 5)}")


@dataclass(frozen=True)
class Result:
    """The record of one model's explanation of one clip. Scores are softmax probabilities.

    Attributes:
      id: the clip's id, unique in its dataset.
      model: name of the model.
      path: the video file; "" for a generated clip.
      label: the true class; -1 if unknown.
      label_name: its name; "" if unknown.
      predicted: the class that the model predicts for the clip.
      predicted_name: its name.
      target: the explained class.
      target_name: its name.
      perturbation: what the mask does to a frame, e.g. "freeze".
      original_score: OS, the target's score on the original clip.
      freeze_score: FS, the target's score on the clip frozen by the mask.
      reverse_score: RS, the target's score on the clip reversed by the mask.
      true_score: CS, the true class's score on the original clip; NaN if the true class is unknown.
      mask: float32 `(T,)` in [0, 1], 1 = perturbed.
      mask_length: number of frames with a mask value above 0.5.
      loss: the final loss, the sum of the three terms below.
      length_term: lambda_1 times the sum of the mask.
      variation_term: lambda_2 times the total variation of the mask.
      score_term: the target's score under the mask.
      iterations: number of optimisation steps.
      full_drop: how much the score falls if all frames are perturbed; below a tenth of OS the mask says little.
      map: float32 `(T', H', W')`, Grad-CAM at the resolution of its layer, not normalised; or the map of another method
        at the clip's resolution.
      size: (H, W) of the frames that the model received.
      event: [start, stop) of the known event in frames; (-1, -1) if unknown.
      temporal_iou: temporal IoU of the mask with the event; NaN if the event is unknown.
      temporal_iou_random: its mean over all windows of the mask's length.
      temporal_iou_centred: its value for the centred window of the mask's length.
      settings: JSON of all settings that determine the record: the model's weights, the explainers' options.
      gif, mp4, webp, reversed, sheet, reel: files made for the clip, relative to the store's folder; "" for none.
      top: the classes with the highest probabilities on the clip, highest first: five, or all if the model has fewer.
        Records of earlier versions have no `top`, `top_names` and `top_scores`; these are empty then.
      top_names: their names.
      top_scores: float32 `(min(5, K),)`, their probabilities.
      damage: a description of the video file's damage; "" if none is known.
      still: whether all frames of the clip, as the model received them, are identical. The mask then says nothing about
        time.
      map_method: the name of the method of `map`, see `tfvid.explain.EXPLAINERS`.
      map_layer: the layer whose features `map` shows and why it was chosen, in words; "" for a method without a layer.
      shown: (H, W) of the original frames that films show; (0, 0) if they show the frames that the model received.
      seconds: float32 `(T,)`, when each frame is shown in its file; empty if unknown.
      objective: what was asked: "necessary", the frames of `mask` are those that the class needs; "sufficient", they
        are those that suffice when all else is held; "both", `mask` is the necessary one. The next fields are empty, 0,
        NaN or False with "necessary".
      sufficient: float32 `(T,)` in [0, 1], the mask of the frames that suffice, 1 = kept.
      sufficient_length: number of its frames with a value above 0.5.
      kept_score: KS, the target's score on the clip in which only these frames move.
      reached: whether KS is at least the share of OS that was asked for, 0.9 by default.
      sufficient_iou: temporal IoU of this mask with the event; NaN if the event is unknown.
      more_methods: the names of the further methods of maps, in order; () if `map_method` is the only one.
      more_maps: their maps, each float32 `(T', H', W')` like `map`.
      more_layers: the layer of each, as `map_layer`.
      reel_panels: what each panel of `reel` shows: "clip", "heat" (a map as grey levels; the maps are in the order of
        the methods) or "perturbed". () for a reel of an earlier version: the clip, the clip under its map, and the
        perturbed clip.
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
    map_method: str = "grad_cam"
    map_layer: str = ""
    shown: tuple[int, int] = (0, 0)
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    objective: str = "necessary"
    sufficient: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    sufficient_length: int = 0
    kept_score: float = float("nan")
    reached: bool = False
    sufficient_iou: float = float("nan")
    more_methods: tuple[str, ...] = ()
    more_maps: tuple[np.ndarray, ...] = ()
    more_layers: tuple[str, ...] = ()
    reel_panels: tuple[str, ...] = ()

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of all methods of maps."""
        return self.map_method, *self.more_methods

    @property
    def layers(self) -> tuple[str, ...]:
        """The layer of the map of each method; "" for a method without one."""
        return self.map_layer, *self.more_layers

    @property
    def film_size(self) -> tuple[int, int]:
        """(H, W) of the frames that films show."""
        return self.shown if self.shown[0] else self.size

    @property
    def correct(self) -> bool | None:
        """Whether the prediction is the true class; None if the true class is unknown."""
        return None if self.label < 0 else self.predicted == self.label


def _column(item: dataclasses.Field) -> list[pa.Field]:
    if item.name == "map":  # Parquet has no multi-dimensional arrays: values in C order, and the shape
        return [pa.field("map", pa.list_(pa.float32())), pa.field("map_shape", pa.list_(pa.int32(), 3))]
    if item.name == "more_maps":
        shapes = pa.field("more_map_shapes", pa.list_(pa.list_(pa.int32())))
        return [pa.field("more_maps", pa.list_(pa.list_(pa.float32()))), shapes]
    kinds: dict[object, pa.DataType] = {str: pa.string(), int: pa.int32(), float: pa.float32(), bool: pa.bool_()}
    kinds |= {np.ndarray: pa.list_(pa.float32()), tuple[int, int]: pa.list_(pa.int32(), 2)}
    kinds |= {tuple[int, ...]: pa.list_(pa.int32()), tuple[str, ...]: pa.list_(pa.string())}
    return [pa.field(item.name, kinds[item.type])]


SCHEMA = pa.schema(
    [column for item in dataclasses.fields(Result) for column in _column(item)],
    metadata={VERSION: "1"},
)
# Default values of the columns that records of earlier versions lack.
DEFAULTS = {
    "top": [],
    "top_names": [],
    "top_scores": [],
    "damage": "",
    "still": False,
    "map_method": "grad_cam",
    "map_layer": "",
    "shown": [0, 0],
    "seconds": [],
    "objective": "necessary",
    "sufficient": [],
    "sufficient_length": 0,
    "kept_score": float("nan"),
    "reached": False,
    "sufficient_iou": float("nan"),
    "more_methods": [],
    "more_maps": [],
    "more_map_shapes": [],
    "more_layers": [],
    "reel_panels": [],
}
MAPS = ("map", "map_shape", "more_maps", "more_map_shapes")  # the columns of the maps, which are most of the data


def _row_store(folder) -> RowStore:
    return RowStore(folder, NAME, SCHEMA, DEFAULTS)


def to_table(results: Iterable[Result]) -> pa.Table:
    """Converts records to an Arrow table with the schema `SCHEMA`."""
    rows = []
    for result in results:
        row = {item.name: getattr(result, item.name) for item in dataclasses.fields(Result)}
        heat = np.asarray(result.map, np.float32)
        arrays = {name: np.asarray(row[name]) for name in ("mask", "top_scores", "seconds", "sufficient")}
        more = [np.asarray(one, np.float32) for one in result.more_maps]
        maps = {"map": heat.ravel(), "map_shape": list(heat.shape)}
        maps |= {"more_maps": [one.ravel() for one in more], "more_map_shapes": [list(one.shape) for one in more]}
        rows.append(row | arrays | maps)
    return pa.Table.from_pylist(rows, SCHEMA)


def from_table(table: pa.Table) -> list[Result]:
    """Converts a table of `to_table` to records. Masks and maps are float32; maps that were not read are `(0, 0, 0)`.

    Args:
      table: with all columns, or without the columns of the maps.

    Raises:
      ValueError: a map does not match its shape, or the `top` columns of a record have different lengths.
    """
    results = []
    for row in table.to_pylist():
        row["map"] = _map(row.get("map", ()), row.pop("map_shape", (0, 0, 0)))
        more = zip(row.get("more_maps", ()), row.pop("more_map_shapes", ()), strict=True)
        row["more_maps"] = tuple(_map(values, shape) for values, shape in more)
        row["mask"] = np.asarray(row["mask"], np.float32)
        row["seconds"] = np.asarray(row["seconds"], np.float32)
        row["sufficient"] = np.asarray(row["sufficient"], np.float32)
        row["size"], row["event"], row["shown"] = tuple(row["size"]), tuple(row["event"]), tuple(row["shown"])
        for name in ("top", "top_names", "more_methods", "more_layers", "reel_panels"):
            row[name] = tuple(row[name])
        row["top_scores"] = np.asarray(row["top_scores"], np.float32)
        counts = {len(row[name]) for name in ("top", "top_names", "top_scores")}
        if len(counts) > 1 or None in row["top"] + row["top_names"]:
            raise ValueError("top, top_names and top_scores do not belong together")
        results.append(Result(**row))
    return results


def _map(values: Sequence[float], shape: Sequence[int]) -> np.ndarray:
    """Returns a map of its values in C order."""
    return np.asarray(values, np.float32).reshape(shape)


def read_results(folder, *, maps: bool = True) -> list[Result]:
    """Reads all records of the store in `folder`, in the order in which they were written, one per clip and model.

    Args:
      folder: of the store.
      maps: whether to read the maps, which are most of the data; False: each `map` has shape `(0, 0, 0)`.

    Returns:
      The records.

    Raises:
      DataError: there is no store, or one of its files cannot be read or has another version.
    """
    rows = _row_store(folder)
    if not rows.files():
        raise DataError(f"{folder}: no results here (no {rows.merged.name})")
    columns = [name for name in SCHEMA.names if maps or name not in MAPS]
    results = []
    for table in rows.batches(columns):
        missing = [name for name in columns if table[name].null_count]
        try:
            results += [] if missing else from_table(table)
        except ValueError as error:  # a map that does not match its shape, or more scores than classes
            missing = [f"map or top ({error})"]
        if missing:
            place = rows.merged if rows.merged.exists() else rows.parts
            raise DataError(f"{place}: a record has no usable value of {', '.join(missing)}")
    return results


@dataclass
class ResultStore:
    """Appends records to a folder, and lists the clips that already have one.

    Attributes:
      folder: the folder, which the first `append` creates.
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
        """Returns the files that hold the records, oldest first."""
        return self._rows.files()

    def done(self, model: str) -> set[str]:
        """Returns the ids of the clips with a record of `model`."""
        return set(self._done.get(model, ()))

    def check(self, model: str, settings: dict):
        """Checks that the existing records of `model` were made with `settings`, so that new ones can be added.

        Args:
          model: name of the model.
          settings: the settings of the new records; values that JSON can represent.

        Raises:
          ConfigError: the settings differ; the message names the differences.
          DataError: the settings of the existing records are not JSON.
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
        """Writes `results` as one part. After this call returns, they are kept even if the process is killed."""
        if not results:
            return
        self._rows.append(to_table(results))
        for result in results:
            self._done.setdefault(result.model, set()).add(result.id)
            self._settings[result.model] = result.settings

    def merge(self):
        """Writes all records into ``results.parquet`` and removes the parts."""
        self._rows.merge()


class ResultPart:
    """Writes the records of one shard as one part. A part with the same name is replaced.

    The class has the methods of a store that `explain_clips` uses. `ResultStore` reads the records of the folder.

    Args:
      folder: of the store.
      name: of the part; parts are merged in the order of their names.
    """

    def __init__(self, folder, name: str):
        self._rows, self.name = _row_store(folder), name
        self._results: list[Result] = []

    def done(self, model: str) -> set[str]:
        """Returns the ids of the clips with a record of `model` in this part."""
        return {result.id for result in self._results if result.model == model}

    def check(self, model: str, settings: dict):
        """Does nothing: the process that distributes the shards has checked the settings of the folder's records."""

    def append(self, results: list[Result]):
        """Adds `results` to the records that `write` writes."""
        self._results += results

    def write(self):
        """Writes the part, completely or not at all. Without records, no part is written."""
        if self._results:
            self._rows.append(to_table(self._results), self.name)


def differences(old: dict, new: dict) -> list[str]:
    """Returns a phrase for each difference between two flat mappings of settings."""
    return [
        f"{key} was {old.get(key, 'not set')}, is {new.get(key, 'not set')}"
        for key in sorted(old | new)
        if old.get(key) != new.get(key)
    ]
