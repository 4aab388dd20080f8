"""Logs explained clips for TensorBoard's tab "Video explanations", and as plain scalars and images for its other tabs.

    with tf.summary.create_file_writer("logs/explain").as_default():
        tfvid.summary.explanation("mask", clips, step=epoch, attribution=maps, scores=result)

`tfvid.tensorboard.metadata` and docs/tensorboard.md describe the format.
"""

import json
import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.base import Explanation
from tfvid.metrics.masks import mask_length
from tfvid.tensorboard import metadata
from tfvid.tensorboard.arguments import Batch, check_tags, checked
from tfvid.tensorboard.film import draw_film

JPEG_QUALITY = 85
SMALLEST_WEIGHT = 1e-4  # of a frame in a mixture; a smaller weight changes no pixel

PAPER = ("OS", "FS", "RS", "CS")  # the scores that the JSON of every clip lists, null if unknown


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
    """Writes explained clips to the default summary writer, like `tf.summary.image` writes images.

    Each clip has its own tag, ``<name>/<id>``; the steps of the tag show how the explanation changes during training.
    A clip of 16 frames of 224x224 with maps of 7x7 or 14x14 takes about 150 KB, and its plain image another 180 KB.

    Args:
      name: the name the clips are logged under, usually the method's name.
      clips: `(B, T, H, W, 3)`, float in [0, 1] or uint8, RGB.
      step: the training step; None for ``tf.summary.experimental.get_step()``.
      attribution: maps `(B, T', h, w)` of finite values, signed or not. Pass them at the small resolution at which the
        method computes them (``CAMResult.native``).
      mask: `(B, T)` in [0, 1], 1 = perturbed.
      scores: numbers by name, each `(B,)`, e.g. ``{"OS": ..., "FS": ...}``; NaN if unknown. Or the result of an
        explainer: its scores are logged, and its mask and native maps unless `mask` and `attribution` are given.
      labels: class names by role, "target", "predicted" or "true", each B strings or None.
      description: Markdown, shown with the name.
      ids: B different strings that name the clips; default "0" to "B-1".
      perturbation: what the mask does to the frames: "freeze" (the default if there is a mask), "reverse", or any
        other name together with `perturbed`.
      perturbed: the perturbed clips, as `clips`. Not stored for "freeze" and "reverse", which the page computes.
      events: int `(B, 2)`, the known event as [start, stop) in frames; (-1, -1) if unknown.
      method: the name of the explanation method; default `name`.
      plain: also write scalars ``<name>/<score>`` and ``<name>/mask_length``, which are means over the batch without
        NaN, and an image ``<name>/<id>/film`` of each clip.

    Raises:
      TfvidError: an argument is invalid; nothing is written.
      ValueError: there is no step, as in `tf.summary.image`.
    """
    if not tf.executing_eagerly():
        raise TfvidError("summary.explanation encodes pictures: expected a call outside tf.function, got one inside")
    if not tf.summary.should_record_summaries():
        return
    batch = checked(clips, attribution, mask, scores, labels, ids, perturbation, perturbed, events)
    averages = _averages(batch) if plain else {}
    check_tags(name, batch.ids, averages, plain)
    _write_clips(name, batch, method or name, step, description)
    for key, value in averages.items():
        tf.summary.scalar(f"{name}/{key}", value, step=step, description=description)
    for index, id in enumerate(batch.ids if plain else ()):
        tag = f"{metadata.Clip(name, id).tag}/film"
        tf.summary.image(tag, _film(batch, index)[np.newaxis], step=step, description=description)


def _write_clips(name: str, batch: Batch, method: str, step, description: str | None) -> None:
    """Writes a tensor of blobs for each clip, which the plugin reads."""
    with tf.summary.experimental.summary_scope(name, "explanation") as (scoped, _):
        for index, id in enumerate(batch.ids):
            clip = metadata.Clip(scoped, id)
            blobs = tf.constant(_blobs(batch, index, method))
            tf.summary.write(clip.tag, blobs, step=step, metadata=metadata.create(clip, description))


def _blobs(batch: Batch, index: int, method: str) -> list[bytes]:
    """Encodes a clip as the blobs of the log format."""
    maps, fields = (np.empty(0), None) if batch.maps is None else _quantised(batch.maps[index])
    perturbed = [] if batch.perturbed is None else list(batch.perturbed[index])
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
    """Returns the plain scalars: means over the clips whose value is known."""
    values = dict(batch.scores)
    if batch.mask is not None:
        values["mask_length"] = mask_length(batch.mask)
    known = {name: value[np.isfinite(value)] for name, value in values.items()}
    return {name: float(value.mean()) for name, value in known.items() if value.size}


def _film(batch: Batch, index: int) -> np.ndarray:
    """Draws the plain image of a clip."""
    maps, mask, mixing, perturbed = (
        part if part is None else part[index] for part in (batch.maps, batch.mask, batch.mixing, batch.perturbed)
    )
    start, stop = batch.events[index].tolist()
    return draw_film(batch.clips[index], maps, mask, mixing, perturbed, (start, stop))


def _quantised(maps: np.ndarray) -> tuple[np.ndarray, dict]:
    """Quantises maps `(T', h, w)` to uint8, and describes them for the clip's JSON.

    The value 0 becomes level 0 for maps without negative values, and the middle level for signed maps.
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
    """Converts a mixing matrix `(T, T)` to rows of [source frame, weight] without weights below `SMALLEST_WEIGHT`."""
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
    """Encodes an RGB frame `(H, W, 3)` as JPEG."""
    return _encoded(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def _png(frame: np.ndarray) -> bytes:
    """Encodes a grey image `(h, w)` as PNG."""
    return _encoded(".png", frame)


def _encoded(suffix: str, image: np.ndarray, options=()) -> bytes:
    done, encoded = cv2.imencode(suffix, np.ascontiguousarray(image), list(options))
    if not done:
        raise TfvidError(f"OpenCV cannot encode an image of shape {image.shape} as {suffix}")
    return encoded.tobytes()
