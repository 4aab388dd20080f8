"""The clips of a page: what its script draws them from, the controls to choose among them, and a plain list.

The script makes a clip's films only when the reader comes near them, so that a page of many hundreds stays quick.
Without JavaScript the list shows the animated films.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfvid.metrics.masks import is_trusted
from tfvid.report.film import titles
from tfvid.report.links import beside
from tfvid.report.numbers import number
from tfvid.report.overlay import display_size
from tfvid.report.page import as_script
from tfvid.report.reel import grid
from tfvid.results.result_store import STILL, Result

SHOWN_AT_FIRST = 3  # films a clip; of more models, the first of each group


@dataclass(frozen=True)
class Group:
    """Models that stand together, e.g. the same network trained three times.

    Attributes:
      name: of the group.
      models: as in the results.
    """

    name: str
    models: tuple[str, ...]


@dataclass(frozen=True)
class Measure:
    """A number that each clip has for each model, to show and to sort by.

    Attributes:
      key: names it.
      title: for people.
      unit: "" for none.
      listed: whether it stands in the list of measures beside the scores; else it is only sorted by.
    """

    key: str
    title: str
    unit: str = ""
    listed: bool = True


OWN_MEASURES = (
    Measure("mask_length", "mask length", "frames"),
    Measure("temporal_iou", "temporal IoU"),
    Measure("original_score", "OS", listed=False),
    Measure("freeze_drop", "drop OS − FS", listed=False),
    Measure("reverse_drop", "drop OS − RS", listed=False),
)


def own_measures(result: Result) -> dict[str, float]:
    """What a record itself says of each of `OWN_MEASURES`."""
    return {
        "mask_length": result.mask_length,
        "temporal_iou": result.temporal_iou,
        "original_score": result.original_score,
        "freeze_drop": result.original_score - result.freeze_score,
        "reverse_drop": result.original_score - result.reverse_score,
    }


def clips_section(
    results: Iterable[Result],
    groups: Sequence[Group],
    *,
    fps: float,
    measures: Sequence[Measure] = OWN_MEASURES,
    values: Mapping[str, Mapping[str, Mapping[str, float | None]]] | None = None,
) -> dict:
    """What the page's template says of clips.

    Args:
      results: of the models in `groups`; others are passed over. Their maps are not needed.
      groups: at least one.
      fps: frames a second.
      measures: what can be sorted by; those that no clip has a value of are left out.
      values: numbers by model, clip and measure, beside those of `own_measures`.

    Returns:
      ``data``, what the page's script draws, as JavaScript; ``controls`` and ``models``, what the reader can choose;
      ``plain``, the clips for readers without JavaScript; ``layout``, a class name.
    """
    models = [model for group in groups for model in group.models]
    clips: dict[str, list[tuple[int, Result]]] = {}
    for result in results:
        if result.model in models:
            clips.setdefault(result.id, []).append((models.index(result.model), result))
    clips = {clip: sorted(rows, key=lambda row: row[0]) for clip, rows in clips.items()}
    names: dict[str, int] = {}
    data = [_clip(clip, rows, values or {}, names) for clip, rows in clips.items()]
    known = {key for clip in data for row in clip["rows"] for key in row["values"]}
    measures = [measure for measure in measures if measure.key in known]
    return {
        "data": as_script(
            {
                "fps": float(fps),
                "models": [{"name": model["name"], "group": model["group"]} for model in _models(groups)],
                "groups": [group.name for group in groups],
                "measures": [vars(measure) for measure in measures],
                "classes": list(names),
                "clips": data,
            }
        ),
        "controls": _controls(data, groups, measures),
        "models": _models(groups),
        "plain": [
            {key: clip[key] for key in ("heading", "id", "damage")}
            | {"rows": [_plain_row(own, row) for own, (_, row) in zip(clip["rows"], rows, strict=True)]}
            for clip, rows in zip(data, clips.values(), strict=True)
        ],
        "layout": "single" if len(models) == 1 else "",  # the films of several models stand side by side
    }


# What the script draws


def _clip(clip: str, rows: list[tuple[int, Result]], values, names: dict[str, int]) -> dict:
    first = rows[0][1]
    file = Path(first.path).name  # the name only: pages are shared, folders are nobody's business
    longest = max((row for _, row in rows), key=lambda row: len(row.mask))
    return {
        "id": clip if not file or Path(file).stem == clip else f"{clip} · {file}",
        "heading": first.label_name if first.label >= 0 else file or clip,
        "label": first.label_name if first.label >= 0 else None,
        "damage": next((row.damage for _, row in rows if row.damage), ""),
        "poster": _middle(longest.mask),
        "event": list(first.event) if first.event[0] >= 0 else None,
        "rows": [_row(model, row, values.get(row.model, {}).get(clip, {}), names) for model, row in rows],
    }


def _middle(mask: np.ndarray) -> int:
    """The frame to show while nothing moves: the middle one of those perturbed."""
    perturbed = np.flatnonzero(mask > 0.5)
    return int(perturbed[len(perturbed) // 2]) if len(perturbed) else len(mask) // 2


def _row(model: int, row: Result, values: Mapping[str, float | None], names: dict[str, int]) -> dict:
    """One model's part of a clip. `names` numbers the class names of the page, which many rows share; it grows."""
    height, width = display_size(row.size)
    scores = {"OS": row.original_score, "FS": row.freeze_score, "RS": row.reverse_score, "CS": row.true_score}
    data = {
        "model": model,
        "predicted": row.predicted_name,
        "target": row.target_name,
        "correct": row.correct,
        "scores": _finite(scores),
        "values": _finite(own_measures(row) | dict(values)),
        "baselines": _finite({"random": row.temporal_iou_random, "centred": row.temporal_iou_centred}),
        "mask": [_level(float(value)) for value in np.clip(row.mask, 0, 1)],
        "panes": titles(row.perturbation),
        "doubt": _doubt(row),
        "top": [
            [names.setdefault(name, len(names)), round(float(score), 4), _role(row, label)]
            for label, name, score in zip(row.top, row.top_names, row.top_scores, strict=True)
        ],
        "files": _files(row),
    }
    if row.reel:
        data["reel"] = {"file": beside(row.reel), "columns": grid(len(row.mask), height)[0], "size": [width, height]}
    return data


def _doubt(row: Result) -> str:
    """Why the mask says little or nothing, as a sentence; "" where it does say which frames the class needs."""
    if row.still:
        return STILL.format(len(row.mask))
    if is_trusted(row.original_score, row.full_drop):
        return ""
    return "Perturbing the whole clip lowers this score by less than a tenth: the mask says little."


def _role(row: Result, label: int) -> str:
    """What a class is to a clip: "explained", "true", both or ""."""
    roles = {"explained": row.target, "true": row.label}
    return ", ".join(name for name, of_role in roles.items() if of_role == label)


def _level(value: float) -> float:
    """Rounded, but never from one side of 0.5, where a frame counts as perturbed, to the other."""
    return max(round(value, 3), 0.501) if value > 0.5 else round(value, 3)


def _finite(numbers: Mapping[str, float | None]) -> dict[str, float]:
    """Those that are known, rounded to what a page shows."""
    return {key: round(float(value), 4) for key, value in numbers.items() if value is not None and math.isfinite(value)}


def _files(row: Result) -> dict[str, str]:
    names = {
        "GIF": row.gif,
        "MP4": row.mp4,
        "WebP": row.webp,
        "reversed film": row.reversed,
        "contact sheet": row.sheet,
    }
    return {name: beside(file) for name, file in names.items() if file}


# The controls


def _controls(clips: list[dict], groups: Sequence[Group], measures: list[Measure]) -> list[tuple]:
    """The menus that choose and sort clips: a label, a name, and pairs of a value and its text."""
    labels = sorted({clip["label"] for clip in clips if clip["label"] is not None})
    controls: list[tuple] = []
    if labels:
        controls.append(("Class", "label", [("", "all"), *((label, label) for label in labels)]))
        for index, group in enumerate(groups):
            mixed = [("mixed", "models disagree")] if len(group.models) > 1 else []
            outcomes = [("", "all"), ("right", "right"), ("wrong", "wrong"), *mixed]
            controls.append((group.name, f"outcome-{index}", outcomes))
    if measures:
        controls.append(("Sort by", "sort", [("", "as listed"), *((m.key, m.title) for m in measures)]))
        if len(groups) > 1:
            names = [(str(index), group.name) for index, group in enumerate(groups)]
            two = f"{groups[0].name} − {groups[1].name}" if len(groups) == 2 else "largest difference"
            controls.append(("of", "of", [("difference", two), *names]))
        controls.append(("Order", "order", [("-1", "largest first"), ("1", "smallest first")]))
    return controls


def _models(groups: Sequence[Group]) -> list[dict]:
    """The models in order, and whether their films are shown at first."""
    few = sum(len(group.models) for group in groups) <= SHOWN_AT_FIRST
    return [
        {"name": model, "group": index, "shown": few or place == 0}
        for index, group in enumerate(groups)
        for place, model in enumerate(group.models)
    ]


# Without JavaScript


def _plain_row(data: dict, row: Result) -> dict:
    perturbed = ", ".join(str(frame + 1) for frame in np.flatnonzero(row.mask > 0.5)) or "none"
    top = " · ".join(f"{name} {number(score, 2)}" for name, score in zip(row.top_names, row.top_scores, strict=True))
    return {
        "outcome": {True: "✓ ", False: "✗ ", None: ""}[row.correct],
        "model": row.model,
        "predicted": row.predicted_name,
        "target": row.target_name,
        "film": row.webp or row.gif,
        "scores": " · ".join(f"{name} {number(value, 2)}" for name, value in data["scores"].items()),
        "perturbed": f"{perturbed} of {len(row.mask)}",
        "top": f"Top {len(row.top)}: {top}" if row.top else "",
        "doubt": data["doubt"],
    }
