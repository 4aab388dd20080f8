"""Logs explained clips for TensorBoard's tab "Video explanations", and plain summaries beside it for everyone else.

    with tf.summary.create_file_writer("logs/explain").as_default():
        tfvid.summary.explanation("mask", clips, step=epoch, attribution=maps, scores=result)

The format is described in `tfvid.tensorboard.metadata` and docs/tensorboard.md.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import tensorflow as tf

from tfvid.errors import TfvidError, unknown
from tfvid.explain.base import Explanation
from tfvid.metrics.masks import mask_length
from tfvid.perturb.temporal import freeze_matrix, reverse_matrix
from tfvid.tensorboard import metadata
from tfvid.tensorboard.film import draw_film

MIXING = {"freeze": freeze_matrix, "reverse": reverse_matrix}
LABELS = ("target", "predicted", "true")
JPEG_QUALITY = 85
SMALLEST_WEIGHT = 1e-4  # of a frame in a mixture; less changes no pixel

# The paper's scores, which every clip has a place for, and what results of explainers call theirs.
PAPER = ("OS", "FS", "RS", "CS")
SCORES = {"OS": "original_score", "FS": "freeze_score", "RS": "reverse_score", "CS": "true_score", "logit": "score"}


def explanation(
    name: str,
    clips,
    step=None,
    attribution=None,
    mask=None,
    scores: Mapping | Explanation | None = None,
    labels: Mapping[str, Sequence] | None = None,
    description: str | None = None,
    *,
    ids: Sequence[str] | None = None,
    perturbation: str | None = None,
    perturbed=None,
    events=None,
    method: str | None = None,
    plain: bool = True,
) -> None:
    """Writes explained clips to the default summary writer, as `tf.summary.image` writes images.

    Each clip is a tag of its own, ``<name>/<id>``, so that its steps show how its explanation changed. A clip of
    16 frames of 224x224 with a 7x7 map takes about 0 KB.

    Args:
      name: what the clips are logged under, mostly the method's name.
      clips: `(B, T, H, W, 3)`, float in [0, 1] or uint8, RGB.
      step: of the training; None for ``tf.summary.experimental.get_step()``.
      attribution: maps `(B, T', h, w)`, any number, signed or not. Give them at their native resolution, which is
        small (``GradCAMResult.native``): they are enlarged where they are shown.
      mask: `(B, T)` in [0, 1], 1 = perturbed.
      scores: numbers by name, each `(B,)`, e.g. ``{"OS": ..., "FS": ...}``; NaN where not known. Or the result of an
        explainer, whose scores are taken, and its mask and its native maps where those are not given.
      labels: class names by role, "target", "predicted" or "true", each B strings or None.
      description: Markdown, shown with the name.
      ids: B different strings that name the clips; default "0" to "B-1".
      perturbation: what the mask does to the frames: "freeze" (the default where there is a mask), "reverse", or
        another name, for which the frames are given as `perturbed`.
      perturbed: the clips under that perturbation, like `clips`. Not needed for "freeze" and "reverse", and not
        stored then: they follow from the clip and its mask.
      events: int `(B, 2)`, the known event as [start, stop) in frames; (-1, -1) where it is not known.
      method: what the explanation was made with; default `name`.
      plain: also write scalars ``<name>/<score>`` and ``<name>/mask_length``, means over the batch without NaN, and
        an image ``<name>/<id>/film`` of each clip.

    Raises:
      TfvidError: an argument that does not fit; nothing is written.
      ValueError: no step, as from `tf.summary.image`.
    """
    if not tf.executing_eagerly():
        raise TfvidError(
            "tfvid.summary.explanation encodes pictures: expected a call outside tf.function, got one inside"
        )
    if not tf.summary.should_record_summaries():
        return
    batch = _checked(clips, attribution, mask, scores, labels, ids, perturbation, perturbed, events)
    averages = _averages(batch) if plain else {}
    _check_tags(name, batch.ids, averages, plain)
    with tf.summary.experimental.summary_scope(name, "explanation") as (scoped, _):
        for index, id in enumerate(batch.ids):
            clip = metadata.Clip(scoped, id)
            tf.summary.write(
                clip.tag,
                lambda index=index: tf.constant(_blobs(batch, index, method or name)),
                step=step,
                metadata=metadata.create(clip, description),
            )
    for key, value in averages.items():
        tf.summary.scalar(f"{name}/{key}", value, step=step, description=description)
    for index, id in enumerate(batch.ids if plain else ()):
        tag = f"{metadata.Clip(name, id).tag}/film"
        tf.summary.image(tag, _film(batch, index)[np.newaxis], step=step, description=description)


@dataclass(frozen=True)
class Batch:
    """What is logged, checked; arrays with the batch first."""

    clips: np.ndarray  # uint8 (B, T, H, W, 3)
    maps: np.ndarray | None  # float32 (B, T', h, w)
    mask: np.ndarray | None  # float32 (B, T)
    perturbation: str | None
    mixing: np.ndarray | None  # float32 (B, T, T)
    perturbed: np.ndarray | None  # uint8 (B, T, H, W, 3)
    scores: dict[str, np.ndarray]  # float64 (B,)
    labels: dict[str, list[str | None]]
    events: np.ndarray  # int (B, 2)
    ids: list[str]


def _checked(clips, attribution, mask, scores, labels, ids, perturbation, perturbed, events) -> Batch:
    """The arguments of `explanation` as a `Batch`."""
    clips = _frames("clips", clips)
    count, length = clips.shape[:2]
    scores = {} if scores is None else scores
    if isinstance(scores, Explanation):
        mask = getattr(scores, "mask", None) if mask is None else mask
        attribution = getattr(scores, "native", None) if attribution is None else attribution
        scores = {key: getattr(scores, field) for key, field in SCORES.items() if hasattr(scores, field)}
    if not isinstance(scores, Mapping):
        raise TfvidError(f"scores: expected numbers by name or an explainer's result, got {type(scores).__name__}")
    if attribution is not None:
        attribution = _numbers("attribution", attribution, (count, "T'", "h", "w"))
    if mask is not None:
        mask = _numbers("mask", mask, (count, length), (0, 1))
    if perturbation is None and mask is not None and perturbed is None:
        perturbation = "freeze"
    mixing = None
    if perturbation in MIXING:
        if mask is None:
            raise TfvidError(f"mask: expected the mask of the perturbation {perturbation!r}, got None")
        mixing, perturbed = MIXING[perturbation](mask).numpy(), None
    elif perturbation is not None and perturbed is None:
        raise TfvidError(
            f"perturbed: expected the clips under the perturbation {perturbation!r}, got None; "
            f"only {' and '.join(MIXING)} follow from the mask"
        )
    elif perturbed is not None:
        if perturbation is None:
            raise TfvidError("perturbation: expected the name of what made the perturbed clips, got None")
        perturbed = _frames("perturbed", perturbed, clips.shape)
    return Batch(
        clips=clips,
        maps=attribution,
        mask=mask,
        perturbation=perturbation,
        mixing=mixing,
        perturbed=perturbed,
        scores={str(key): _numbers(f"scores[{key!r}]", value, (count,), nan=True) for key, value in scores.items()},
        labels=_labels(labels or {}, count),
        events=_events(events, count, length),
        ids=_ids(ids, count),
    )


def _frames(name: str, clips, shape: tuple | None = None) -> np.ndarray:
    """Clips as uint8 `(B, T, H, W, 3)`."""
    clips = np.asarray(clips)
    if clips.ndim != 5 or clips.shape[-1] != 3 or 0 in clips.shape or (shape and clips.shape != shape):
        raise TfvidError(f"{name}: expected shape {shape or '(B, T, H, W, 3)'}, got {clips.shape}")
    if clips.dtype == np.uint8:
        return clips
    if not np.issubdtype(clips.dtype, np.floating):
        raise TfvidError(f"{name}: expected floats in [0, 1] or uint8, got {clips.dtype}")
    if not (clips.min() >= 0 and clips.max() <= 1):  # so written, NaN fails too
        raise TfvidError(f"{name}: expected floats in [0, 1], got {clips.min():g} to {clips.max():g}")
    return (clips.astype(np.float32) * 255 + 0.5).astype(np.uint8)


def _numbers(name: str, values, shape: tuple, limits: tuple | None = None, nan: bool = False) -> np.ndarray:
    """`values` as float32 of `shape`, in which a string stands for any length."""
    try:
        values = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise TfvidError(f"{name}: expected numbers of shape {_shape(shape)}: {error}") from error
    fits = len(shape) == values.ndim and all(
        got > 0 if isinstance(want, str) else got == want for want, got in zip(shape, values.shape, strict=True)
    )
    if not fits:
        raise TfvidError(f"{name}: expected shape {_shape(shape)}, got {values.shape}")
    if not nan and not np.isfinite(values).all():
        raise TfvidError(f"{name}: expected finite numbers, got NaN or infinite ones")
    if limits and (values.min() < limits[0] or values.max() > limits[1]):
        raise TfvidError(f"{name}: expected values in {list(limits)}, got {values.min():g} to {values.max():g}")
    return values


def _shape(shape: tuple) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _strings(name: str, values, count: int) -> list:
    values = list(values) if isinstance(values, Sequence | np.ndarray) and not isinstance(values, str) else values
    if not isinstance(values, list) or len(values) != count:
        got = len(values) if isinstance(values, list) else type(values).__name__
        raise TfvidError(f"{name}: expected {count} strings, one a clip, got {got}")
    return values


def _labels(labels: Mapping, count: int) -> dict[str, list]:
    for role, names in labels.items():
        if role not in LABELS:
            raise TfvidError(f"labels: {unknown('role', role, LABELS)}")
        if not all(text is None or isinstance(text, str) for text in _strings(f"labels[{role!r}]", names, count)):
            raise TfvidError(f"labels[{role!r}]: expected strings or None, got {names!r}")
    return {role: list(labels.get(role, [None] * count)) for role in LABELS}


def _ids(ids, count: int) -> list[str]:
    ids = _strings("ids", [str(index) for index in range(count)] if ids is None else ids, count)
    if not all(isinstance(id, str) and id for id in ids) or len(set(ids)) < count:
        raise TfvidError(f"ids: expected {count} different strings, none empty, got {ids!r}")
    return ids


def _check_tags(name: str, ids: list[str], averages: dict, plain: bool):
    """A tag holds one kind of data: the plugin's, numbers or images."""
    taken = {*averages, *(f"{id}/film" for id in ids if plain)}.intersection(ids)
    if taken:
        raise TfvidError(f"ids: {taken.pop()!r} is the name of one of the plain summaries; rename it, or plain=False")
    for text in (name, *ids):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise TfvidError(f"name, ids: expected text that is valid Unicode, got {text!r}") from error


def _events(events, count: int, length: int) -> np.ndarray:
    if events is None:
        return np.full((count, 2), -1)
    events = np.asarray(events)
    if events.shape != (count, 2) or not np.issubdtype(events.dtype, np.integer):
        raise TfvidError(f"events: expected integers of shape ({count}, 2), got {events.dtype} {events.shape}")
    for start, stop in events.tolist():
        if (start, stop) != (-1, -1) and not 0 <= start < stop <= length:
            raise TfvidError(
                f"events: expected [start, stop) within {length} frames or (-1, -1), got ({start}, {stop})"
            )
    return events


def _blobs(batch: Batch, index: int, method: str) -> list[bytes]:
    """A clip as the format has it."""
    maps, fields = [], None
    if batch.maps is not None:
        maps, fields = _quantised(batch.maps[index])
    perturbed = [] if batch.perturbed is None else batch.perturbed[index]
    start, stop = batch.events[index].tolist()
    header = {
        "version": metadata.VERSION,
        "method": method,
        "num_frames": batch.clips.shape[1],
        "size": list(batch.clips.shape[2:4]),
        "map": fields,
        "mask": None if batch.mask is None else _rounded(batch.mask[index]),
        "perturbation": batch.perturbation,
        "mixing": None if batch.mixing is None else _sparse(batch.mixing[index]),
        "perturbed_frames": batch.perturbed is not None,
        "scores": dict.fromkeys(PAPER) | {name: _finite(values[index]) for name, values in batch.scores.items()},
        "labels": {role: names[index] for role, names in batch.labels.items()},
        "event": None if start < 0 else [start, stop],
        "range": [0, 1],
    }
    frames = [_jpeg(frame) for frame in batch.clips[index]]
    return [json.dumps(header, allow_nan=False).encode(), *frames, *map(_png, maps), *map(_jpeg, perturbed)]


def _averages(batch: Batch) -> dict[str, float]:
    """The plain scalars: means over the clips where they are known."""
    values = dict(batch.scores)
    if batch.mask is not None:
        values["mask_length"] = mask_length(batch.mask)
    known = {name: value[np.isfinite(value)] for name, value in values.items()}
    return {name: float(value.mean()) for name, value in known.items() if value.size}


def _film(batch: Batch, index: int) -> np.ndarray:
    """The plain image of a clip."""
    parts = (batch.maps, batch.mask, batch.mixing, batch.perturbed)
    parts = (part if part is None else part[index] for part in parts)
    return draw_film(batch.clips[index], *parts, tuple(batch.events[index].tolist()))


def _quantised(maps: np.ndarray) -> tuple[np.ndarray, dict]:
    """Maps `(T', h, w)` as uint8, and what they are in the clip's JSON.

    0 stays the lowest level of maps that are never negative, and the middle of those that are.
    """
    signed = bool((maps < 0).any())
    high = float(np.abs(maps).max())
    low = -high if signed else 0.0
    levels = np.rint((maps - low) / (high - low or 1) * 255).astype(np.uint8)
    return levels, {
        "frames": len(maps),
        "size": list(maps.shape[1:]),
        "low": low,
        "high": high,
        "signed": signed,
    }


def _sparse(matrix: np.ndarray) -> list[list]:
    """A mixing matrix `(T, T)` as rows of [source frame, weight]; weights too small to see are left out."""
    rows = []
    for row in matrix.astype(np.float64):
        sources = np.flatnonzero(row >= SMALLEST_WEIGHT)
        weights = row[sources] / row[sources].sum()
        rows.append([[source, round(weight, 6)] for source, weight in zip(sources.tolist(), weights, strict=True)])
    return rows


def _rounded(values) -> list[float]:
    return [round(float(value), 6) for value in values]


def _finite(value) -> float | None:
    return float(value) if math.isfinite(value) else None


def _jpeg(frame: np.ndarray) -> bytes:
    """RGB `(H, W, 3)` as JPEG."""
    return _encoded(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def _png(frame: np.ndarray) -> bytes:
    """Grey `(h, w)` as PNG."""
    return _encoded(".png", frame)


def _encoded(suffix: str, image: np.ndarray, options=()) -> bytes:
    done, encoded = cv2.imencode(suffix, np.ascontiguousarray(image), list(options))
    if not done:
        raise TfvidError(f"OpenCV cannot encode an image of shape {image.shape} as {suffix}")
    return encoded.tobytes()
