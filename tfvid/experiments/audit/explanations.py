"""When and where a model looks in some clips, and whether the maps are stable; in Parquet, with films of confusions.

For each clip: the frames that are necessary (`tfvid.TemporalMask`, the best window), those that are sufficient
(`tfvid.CropSearch`), and a map. The map is compared with those of the clip one frame later, of the clip with a little
noise, and of the method with another seed.
"""

import inspect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa

from tfvid.core.errors import ModelError, StillClipWarning
from tfvid.core.files import safe_name
from tfvid.core.stopping import stop_if_asked
from tfvid.experiments.attribution.records import coarse
from tfvid.experiments.audit.interventions import shift
from tfvid.experiments.audit.predictions import random_of
from tfvid.experiments.clips import Clips, task
from tfvid.explain.base import Explainer
from tfvid.explain.explainers import EXPLAINERS, explainer
from tfvid.explain.masks.crop_search import CropSearch
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.metrics.similarity import spearman
from tfvid.metrics.when import frame_relevance
from tfvid.metrics.where import energy_in_box, known_boxes
from tfvid.perturb.temporal import freeze
from tfvid.report.film import compose, panels, save
from tfvid.results.row_store import VERSION, RowStore

NAME = "explanations"
MAPS = ("layer_cam", "gradient", "occlusion")  # the first that applies to the model
NOISE = 0.02  # standard deviation of the noise, in a clip in [0, 1]
SAMPLE, CONFUSION = "sample", "confusion"
FPS = 5.0


@dataclass(frozen=True)
class Explained:
    """The explanation of one clip. A number that is not known is NaN.

    Attributes:
      clip: its id.
      role: "sample", for the profiles of classes, where the label is explained; or "confusion", where the answer is.
      label: the true class, in the model's numbering.
      target: the class explained.
      predicted: the model's answer.
      score: the probability of `target`.
      mask: the necessary frames, `(T,)`, 1 = freezing it lowers the score.
      crop: the sufficient frames, `(T,)`, 1 = inside the crop with the highest score.
      trusted: whether freezing lowers the score enough for the mask to mean something.
      frozen_score: the probability of `target` with the frames of `mask` frozen.
      relevance: the mean of the positive part of the map in each frame, `(T,)`.
      border: the share of the positive map in the outer eighth of the frame at each side; 7/16 of a uniform map.
      fovea: the share in the middle half of height and width; 1/4 of a uniform map.
      in_boxes: the share inside the boxes, over the frames with a box.
      same_when_shifted: Spearman's correlation with the map of the clip that starts one frame later.
      same_with_noise: that with the map of the clip with noise.
      same_with_seed: that with the map by another seed of the method.
      maps: the name of the method of the map.
      film: the film, relative to the folder; "" for none.
      coarse: float16 `(T, h, w)`, the map at low resolution, with the largest magnitude 1.
    """

    clip: str
    role: str
    label: int
    target: int
    predicted: int
    score: float
    mask: list[float]
    crop: list[float]
    trusted: bool
    frozen_score: float
    relevance: list[float]
    border: float
    fovea: float
    in_boxes: float
    same_when_shifted: float
    same_with_noise: float
    same_with_seed: float
    maps: str
    film: str
    coarse: np.ndarray

    @property
    def mask_length(self) -> int:
        """The number of necessary frames."""
        return int(np.sum(np.array(self.mask) > 0.5))

    @property
    def heat(self) -> np.ndarray:
        """The mean of the positive map over time, scaled to a sum of 1 (zeros stay zeros): float64 `(h, w)`."""
        heat = np.maximum(self.coarse.astype(np.float64), 0).mean(axis=0)
        return heat / heat.sum() if heat.sum() > 0 else heat


KINDS: dict[object, pa.DataType] = {
    str: pa.string(),
    int: pa.int32(),
    float: pa.float64(),
    bool: pa.bool_(),
    list[float]: pa.list_(pa.float32()),
    np.ndarray: pa.binary(),
}
SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("model", "id", "made_by")),
        *(pa.field(field.name, KINDS[field.type]) for field in fields(Explained)),
        pa.field("coarse_shape", pa.list_(pa.int32())),
    ],
    metadata={VERSION: "1"},
)


def store(folder) -> RowStore:
    """Returns the store ``explanations.parquet`` in the folder of an audit."""
    return RowStore(folder, NAME, SCHEMA)


def read(folder) -> list[Explained]:
    """Reads the explanations of an audit, in the order in which they were written."""
    names = [field.name for field in fields(Explained)]
    found = []
    for row in store(folder).read().to_pylist():
        row["coarse"] = np.frombuffer(row["coarse"], np.float16).reshape(row["coarse_shape"])
        found.append(Explained(**{name: row[name] for name in names}))
    return found


class Explaining:
    """Explains clips with one model.

    Args:
      clips: of the model; `explain` takes some of them.
      folder: of the audit.
      maps: the method of the maps, a name in `EXPLAINERS`; None: the first of `MAPS` that applies to the model.
      seed: of the noise, and of the method if it draws random numbers.
    """

    def __init__(self, clips: Clips, folder, *, maps: str | None = None, seed: int = 0):
        self.clips, self.folder, self.seed = clips, Path(folder), seed
        self.store = store(folder)
        model = clips.model.model
        self.necessary = TemporalMask(model, method="search")
        self.sufficient = CropSearch(model)
        self.maps, self.locate = (maps, _explainer(maps, model, seed)) if maps else _applicable(clips, seed)
        self.locate_again = _explainer(self.maps, model, seed + 1) if _has_seed(self.maps) else None

    def explain(self, clips: Clips, role: str, targets: dict[str, int], made_by: str) -> None:
        """Explains clips that have no explanation yet, and writes each one before the next batch.

        Args:
          clips: the clips.
          role: "sample", also measures the stability of the maps; "confusion", also writes films.
          targets: the class to explain, by id of the clip.
          made_by: a digest of what the records depend on besides the clip; those of others are replaced.
        """
        done = {
            row["clip"]
            for row in self.store.read(["clip", "role", "made_by"]).to_pylist()
            if row["role"] == role and row["made_by"] == made_by
        }
        with task(f"explaining ({role})", clips, done) as (bar, log):
            for batch in clips.batches(done, log=log, batch_size=4):
                batch = batch | {"id": [id.decode() for id in batch["id"].tolist()]}
                found = self.of_batch(batch, role, np.array([targets[id] for id in batch["id"]], np.int32))
                self.store.append(_rows(self.clips.model.name, found, made_by))
                bar.update(len(found))
                stop_if_asked()
        self.store.merge()

    def of_batch(self, batch: dict, role: str, target: np.ndarray) -> list[Explained]:
        """Explains a batch of clips."""
        clips, boxes = batch["clip"], batch["boxes"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StillClipWarning)  # `trusted` is False for them
            masks = self.necessary(clips, target=target)
        crops, maps = self.sufficient(clips, target=target), self.locate(clips, target=target).attribution
        unknown = np.full(len(clips), np.nan)
        stable = self._stability(batch, maps, target) if role == SAMPLE else [unknown] * 3
        in_boxes = (
            np.where(known_boxes(boxes, maps.shape), energy_in_box(maps, boxes), np.nan) if boxes.size else unknown
        )
        small, border, fovea = coarse(maps), border_energy(maps), fovea_energy(maps)
        return [
            Explained(
                clip=id,
                role=role,
                label=int(batch["label"][i]),
                target=int(target[i]),
                predicted=int(masks.predicted[i]),
                score=float(masks.original_score[i]),
                mask=masks.mask[i].tolist(),
                crop=crops.mask[i].tolist(),
                trusted=bool(masks.is_trusted[i]),
                frozen_score=float(masks.freeze_score[i]),
                relevance=frame_relevance(maps[i : i + 1])[0].tolist(),
                border=float(border[i]),
                fovea=float(fovea[i]),
                in_boxes=float(in_boxes[i]),
                same_when_shifted=float(stable[0][i]),
                same_with_noise=float(stable[1][i]),
                same_with_seed=float(stable[2][i]),
                maps=self.maps,
                film=self._film(id, clips[i], maps[i], masks.mask[i], batch["label"][i], target[i])
                if role == CONFUSION
                else "",
                coarse=small[i],
            )
            for i, id in enumerate(batch["id"])
        ]

    def _stability(self, batch: dict, maps: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        """Returns the correlation of the maps with those of shifted clips, of noisy clips, and by another seed."""
        clips = batch["clip"]
        later = np.stack([shift(clip, None, None) for clip in clips])
        noisy = np.clip(clips + NOISE * _noise(clips, batch["id"], self.seed), 0, 1).astype(np.float32)
        of_later = self.locate(later, target=target).attribution
        shifted = spearman(maps[:, 1:], of_later[:, :-1])  # frame t of the later clip is frame t + 1 of the clip
        of_noisy = spearman(maps, self.locate(noisy, target=target).attribution)
        if self.locate_again is None:
            return [shifted, of_noisy, np.full(len(maps), np.nan)]
        return [shifted, of_noisy, spearman(maps, self.locate_again(clips, target=target).attribution)]

    def _film(self, id: str, clip: np.ndarray, heat: np.ndarray, mask: np.ndarray, label: int, target: int) -> str:
        """Writes the film of a confusion; returns its name in the folder."""
        names, name = self.clips.model.card.class_names, f"films/{safe_name(id)}.webp"
        frozen = freeze(clip[np.newaxis], mask[np.newaxis]).numpy()[0]
        positive = np.maximum(heat, 0)
        columns = panels(clip, {self.maps: positive / max(float(positive.max()), 1e-12)}, frozen)
        caption = f"{names[target]}? It is {names[label]}." if max(label, target) < len(names) else ""
        save(self.folder / name, compose(columns, mask, caption=caption, note=id), FPS)
        return name


def _applicable(clips: Clips, seed: int) -> tuple[str, Explainer]:
    """Returns the first method of `MAPS` that explains the model, and its explainer."""
    size = (1, clips.model.num_frames, *clips.model.size, 3)
    trial, reason = np.random.default_rng(0).random(size, np.float32), ""
    for name in MAPS:
        try:
            found = _explainer(name, clips.model.model, seed)
            found(trial)
        except ModelError as error:
            reason = reason or str(error)
            continue
        return name, found
    raise ModelError(f"none of {', '.join(MAPS)} explains the model ({reason}); name another method of maps")


def _has_seed(name: str) -> bool:
    """Whether a method draws random numbers."""
    return "seed" in inspect.signature(EXPLAINERS.find(name)).parameters


def _explainer(name: str, model, seed: int) -> Explainer:
    return explainer(name, model, **({"seed": seed} if _has_seed(name) else {}))


def _noise(clips: np.ndarray, ids: Sequence[str], seed: int) -> np.ndarray:
    return np.stack(
        [random_of(seed, id, "noise").standard_normal(clip.shape) for clip, id in zip(clips, ids, strict=True)]
    )


def _rows(model: str, found: Sequence[Explained], made_by: str) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {field.name: getattr(one, field.name) for field in fields(Explained)}
            | {"model": model, "id": f"{one.role}\x1f{one.clip}", "made_by": made_by}
            | {"coarse": one.coarse.tobytes(), "coarse_shape": list(one.coarse.shape)}
            for one in found
        ],
        SCHEMA,
    )


def border_energy(maps) -> np.ndarray:
    """Returns the share of the positive map outside the middle three quarters of height and width: float64 `(B,)`.

    Args:
      maps: `(B, T, H, W)`.

    Returns:
      In [0, 1]; 7/16 for a uniform map whose sides are multiples of 8. NaN for a map without positive values.
    """
    return 1 - _inner_energy(maps, 8)


def fovea_energy(maps) -> np.ndarray:
    """Returns the share of the positive map in the central quarter, half of height and width: float64 `(B,)`.

    Args:
      maps: `(B, T, H, W)`.

    Returns:
      In [0, 1]; 1/4 for a uniform map whose sides are multiples of 4. NaN for a map without positive values.
    """
    return _inner_energy(maps, 4)


def _inner_energy(maps, part: int) -> np.ndarray:
    """Returns the share of the positive map that is left without 1 / `part` of the frame at each side."""
    positive = np.maximum(np.asarray(maps, np.float64), 0)
    height, width = positive.shape[2:]
    y, x = round(height / part), round(width / part)
    inner = positive[:, :, y : height - y, x : width - x].sum(axis=(1, 2, 3))
    whole = positive.sum(axis=(1, 2, 3))
    return np.divide(inner, whole, out=np.full(len(whole), np.nan), where=whole > 0)
