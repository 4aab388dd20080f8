"""Checks the arguments of `tfvid.tensorboard.summary.explanation`. An invalid argument raises a one-line error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfvid.core.errors import TfvidError, unknown
from tfvid.explain.base import Explanation
from tfvid.perturb.temporal import MATRICES

# Perturbations that can be computed from a clip and its mask, by name.
MIXING = {perturb.__name__: matrix for perturb, matrix in MATRICES.items()}
LABELS = ("target", "predicted", "true")

# The fields of an `Explanation` that hold the scores, by the name of the score in the log.
SCORES = {"OS": "original_score", "FS": "freeze_score", "RS": "reverse_score", "CS": "true_score", "logit": "score"}
KEPT = {"KS": "kept_score"}  # of a result of sufficient masks


@dataclass(frozen=True)
class Batch:
    """The checked arguments. The first axis of each array is the batch."""

    clips: np.ndarray  # uint8 (B, T, H, W, 3)
    maps: np.ndarray | None  # float32 (B, T', h, w)
    mask: np.ndarray | None  # float32 (B, T)
    perturbation: str | None
    mixing: np.ndarray | None  # float32 (B, T, T)
    perturbed: np.ndarray | None  # uint8 (B, T, H, W, 3)
    scores: dict[str, np.ndarray]  # float32 (B,), NaN if unknown
    labels: dict[str, list[str | None]]
    events: np.ndarray  # int (B, 2)
    ids: list[str]


def checked(clips, attribution, mask, scores, labels, ids, perturbation, perturbed, events) -> Batch:
    """Returns the arguments of `explanation` as a `Batch`.

    Raises:
      TfvidError: an argument is invalid.
    """
    clips = _frames("clips", clips)
    count, length = clips.shape[:2]
    scores = {} if scores is None else scores
    if isinstance(scores, Explanation):
        mask = getattr(scores, "mask", None) if mask is None else mask
        attribution = getattr(scores, "native", None) if attribution is None else attribution
        is_kept, known = bool(np.any(getattr(scores, "keeps", False))), SCORES
        if is_kept:
            perturbation, known = perturbation or ("hold" if perturbed is None else None), SCORES | KEPT
        scores = {key: getattr(scores, field) for key, field in known.items() if hasattr(scores, field)}
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
            f"only {' and '.join(MIXING)} can be computed from the mask"
        )
    elif perturbed is not None:
        if perturbation is None:
            raise TfvidError("perturbation: expected the name of the perturbation of the perturbed clips, got None")
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
    """Converts clips to uint8 `(B, T, H, W, 3)`."""
    clips = np.asarray(clips)
    if clips.ndim != 5 or clips.shape[-1] != 3 or 0 in clips.shape or (shape and clips.shape != shape):
        raise TfvidError(f"{name}: expected shape {shape or '(B, T, H, W, 3)'}, got {clips.shape}")
    if clips.dtype == np.uint8:
        return clips
    if not np.issubdtype(clips.dtype, np.floating):
        raise TfvidError(f"{name}: expected floats in [0, 1] or uint8, got {clips.dtype}")
    if not (clips.min() >= 0 and clips.max() <= 1):  # written this way, the test also rejects NaN
        raise TfvidError(
            f"{name}: expected floats in [0, 1], got {clips.min():g} to {clips.max():g}; show the clips as they were "
            "before they were scaled to the model's input range"
        )
    return (clips.astype(np.float32) * 255 + 0.5).astype(np.uint8)


def _numbers(name: str, values, shape: tuple, limits: tuple | None = None, nan: bool = False) -> np.ndarray:
    """Converts `values` to float32 and checks the shape. A string in `shape` matches any length."""
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
        raise TfvidError(f"{name}: expected {count} strings, one per clip, got {got}")
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


def check_tags(name: str, ids: list[str], averages: dict, plain: bool):
    """Checks that no tag is used twice, since a tag holds one kind of data, and that all names are valid Unicode.

    Args:
      name: the name the clips are logged under.
      ids: of the clips.
      averages: the plain scalars by name.
      plain: whether plain scalars and images are written, too.

    Raises:
      TfvidError: an id is the name of a plain summary, or a text is not valid Unicode.
    """
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
