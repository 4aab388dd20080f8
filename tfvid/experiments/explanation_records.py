"""Explains a batch of clips, and makes a record of each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfvid.core.errors import ConfigError
from tfvid.experiments.clip_explainers import ClipExplainers
from tfvid.experiments.explanation_writer import Explained
from tfvid.metrics.localization import centred_window, known_events, temporal_iou, windows
from tfvid.metrics.masks import mask_length
from tfvid.results.result_store import Result

TOP = 5  # the number of classes that a record lists
# The fields of a `Result` that a `TemporalMaskResult` has under the same name.
SCORES = (
    *("original_score", "freeze_score", "reverse_score", "true_score"),
    *("loss", "length_term", "variation_term", "score_term", "full_drop"),
)


@dataclass(frozen=True)
class Known:
    """The clips of a batch, and what is known about them.

    Attributes:
      ids: the ids of the clips.
      clips: float32 `(B, T, H, W, 3)` in [0, 1].
      labels: int32 `(B,)`, -1 if unknown.
      events: int `(B, 2)`, [start, stop) in frames, (-1, -1) if unknown.
      damage: the damage of each clip's file, "" for none.
    """

    ids: list[str]
    clips: np.ndarray
    labels: np.ndarray
    events: np.ndarray
    damage: list[str]

    @classmethod
    def of(cls, batch: Mapping[str, np.ndarray]) -> "Known":
        """Returns the values of a batch of a data set; keys other than ``clip`` and ``id`` may be missing."""
        count = len(batch["id"])
        return cls(
            ids=batch["id"].tolist(),
            clips=batch["clip"].astype(np.float32),
            labels=batch["label"].astype(np.int32) if "label" in batch else np.full(count, -1, np.int32),
            events=batch["event"] if "event" in batch else np.full((count, 2), -1),
            damage=[
                text.decode() if isinstance(text, bytes) else str(text) for text in batch.get("damage", [""] * count)
            ],
        )


def explained(
    batch: Mapping[str, np.ndarray],
    explainers: ClipExplainers,
    name: str,
    class_names: tuple[str, ...],
    paths: Mapping[str, str],
) -> Explained:
    """Explains all clips of a batch.

    Args:
      batch: a batch of a data set, its ``id`` as text.
      explainers: the explainers of the model.
      name: the name of the model.
      class_names: the names of the classes, in the order of the model's scores.
      paths: the video file of each clip, by id.

    Raises:
      ConfigError: the model has another number of classes than `class_names`.
    """
    known, settings = Known.of(batch), explainers.settings
    masks, maps = explainers(known.clips, known.labels, known.ids)
    num_classes = masks.probabilities.shape[1]
    if len(class_names) != num_classes:
        raise ConfigError(
            f"class_names: expected {num_classes}, one for each class of model {name!r}, got {len(class_names)}"
        )
    perturbation = str(settings["mask.perturbation"])
    if perturbation == "freeze" and settings.get("mask.objective") == "sufficient":
        perturbation = "hold"  # what `explainers.learn.perturb` does
    shared: dict[str, Any] = {"model": name, "perturbation": perturbation, "settings": json.dumps(settings)}
    (first, *more), (layer, *more_layers) = maps, (getattr(one, "layer_in_words", "") for one in maps.values())
    shared |= {"map_method": first, "map_layer": layer}
    shared |= {"more_methods": tuple(more), "more_layers": tuple(more_layers)}
    records = [
        Result(
            id=id,
            path=paths.get(id, ""),
            damage=known.damage[i],
            size=known.clips.shape[2:4],
            event=tuple(known.events[i].tolist()),
            map=own_size(maps[first])[i],
            more_maps=tuple(own_size(maps[method])[i] for method in more),
            **shared,
            **_classes(masks, known.labels, class_names, i),
            **_mask(masks, known.events, i),
            **_sufficient(masks, known.events, i),
        )
        for i, id in enumerate(known.ids)
    ]
    perturbed = np.asarray(explainers.learn.perturb(known.clips, masks.mask))
    backwards = None if perturbation == "reverse" else _reversed(known.clips, masks.mask)
    drawn = {method: shown(one) for method, one in maps.items()}
    return Explained(records, known.clips, drawn, perturbed, backwards, batch, explainers.learn.perturb)


def own_size(maps) -> np.ndarray:
    """Returns the maps for records: class activation maps on the grid of their layer, others at the clip's size."""
    return getattr(maps, "native", maps.attribution)


def shown(maps) -> np.ndarray:
    """Returns maps to draw, in [0, 1]: class activation maps as they are, those of other methods without their sign."""
    if hasattr(maps, "native"):
        return maps.attribution
    strength = np.abs(maps.attribution)
    largest = strength.max(axis=(1, 2, 3), keepdims=True)
    return strength / np.where(largest > 0, largest, 1)


def _classes(masks, labels: np.ndarray, class_names: tuple[str, ...], i: int) -> dict[str, Any]:
    """Returns the fields of a record about the classes of clip `i`."""
    label, predicted, target = int(labels[i]), int(masks.predicted[i]), int(masks.target[i])
    top = np.argsort(-masks.probabilities[i], kind="stable")[:TOP]  # the first of equal scores, as argmax does
    return {
        "label": label,
        "label_name": class_names[label] if label >= 0 else "",
        "predicted": predicted,
        "predicted_name": class_names[predicted],
        "target": target,
        "target_name": class_names[target],
        "top": tuple(top.tolist()),
        "top_names": tuple(class_names[index] for index in top),
        "top_scores": masks.probabilities[i, top],
    }


def _mask(masks, events: np.ndarray, i: int) -> dict[str, Any]:
    """Returns the fields of a record about the mask of clip `i`: its scores, and its overlap with the event."""
    return {
        "mask": masks.mask[i],
        "mask_length": int(mask_length(masks.mask[i])),
        "iterations": int(masks.iterations[i]),
        "still": bool(masks.still[i]),
        **{field: float(getattr(masks, field)[i]) for field in SCORES},
        **overlaps(masks.mask[i], events[i]),
    }


def _sufficient(masks, events: np.ndarray, i: int) -> dict[str, Any]:
    """Returns the fields of a record about the sufficient mask of clip `i`; {} if none was asked for."""
    found = masks.sufficient if masks.sufficient is not None else masks
    if not found.keeps[i]:
        return {}
    return {
        "objective": "both" if found is not masks else "sufficient",
        "sufficient": found.mask[i],
        "sufficient_length": int(mask_length(found.mask[i])),
        "kept_score": float(found.kept_score[i]),
        "reached": bool(found.reached[i]),
        "sufficient_iou": overlaps(found.mask[i], events[i])["temporal_iou"],
    }


def overlaps(mask: np.ndarray, event: np.ndarray) -> dict[str, float]:
    """Computes the temporal IoU with the event of a mask, and of a random and a centred window of the same length.

    Args:
      mask: `(T,)`.
      event: [start, stop) in frames; (-1, -1) if unknown.

    Returns:
      ``temporal_iou``; ``temporal_iou_random``, the mean over all windows of the mask's length; and
      ``temporal_iou_centred``, of the centred window. NaN if the event is unknown.
    """
    mask, event = np.asarray(mask)[np.newaxis], np.asarray(event)[np.newaxis]
    if not known_events(event)[0]:
        return dict.fromkeys(("temporal_iou", "temporal_iou_random", "temporal_iou_centred"), float("nan"))
    num_frames, length = mask.shape[1], int(mask_length(mask)[0])
    starts = np.arange(num_frames - length + 1)
    anywhere = windows(starts, np.full_like(starts, length), num_frames)
    return {
        "temporal_iou": float(temporal_iou(mask, event)[0]),
        "temporal_iou_random": float(temporal_iou(anywhere, np.repeat(event, len(anywhere), axis=0)).mean()),
        "temporal_iou_centred": float(temporal_iou(centred_window(mask), event)[0]),
    }


def _reversed(clips: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns the clips reversed with their masks, for a second film."""
    from tfvid.perturb.temporal import reverse

    return np.asarray(reverse(clips, mask))
