"""The clips of a page: the data for its script, the controls that filter and sort clips, and a list without JavaScript.

The script creates the films of a clip only when the clip is near the visible part of the page, so that a page with
many hundreds of clips stays fast. Without JavaScript, the list shows the animated films.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfvid.metrics.masks import is_trusted
from tfvid.report.film import map_title, titles
from tfvid.report.links import beside
from tfvid.report.numbers import number
from tfvid.report.overlay import COLORMAPS, colour_table, display_size
from tfvid.report.page import as_script
from tfvid.report.reel import grid
from tfvid.results.result_store import STILL, Result

SHOWN_AT_FIRST = 3  # models per clip; if there are more, only the first model of each group is shown initially


@dataclass(frozen=True)
class Group:
    """A group of models, e.g. the same network trained three times.

    Attributes:
      name: of the group.
      models: names of the models, as in the results.
    """

    name: str
    models: tuple[str, ...]


@dataclass(frozen=True)
class Measure:
    """A number per clip and model, which the page shows and sorts by.

    Attributes:
      key: its key in the data.
      title: its name on the page.
      unit: "" for none.
      listed: whether the list of measures beside the scores shows it; False: only for sorting.
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
    """Returns the values of `OWN_MEASURES` of a record."""
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
    """Returns the variables of the page's template that describe the clips.

    Args:
      results: records of the models in `groups`; records of other models are ignored. The maps are not needed.
      groups: at least one group.
      fps: frames per second.
      measures: the measures to sort by; measures without any value are left out.
      values: numbers by model, clip and measure, in addition to those of `own_measures`.

    Returns:
      A dict of ``data``, the data of the page's script as JavaScript; ``controls``, ``models``, ``methods`` and
      ``colormaps``, the choices of the reader; ``plain``, the clips for readers without JavaScript; and ``layout``, a
      CSS class.
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
    methods = list(dict.fromkeys(map_title(name) for rows in clips.values() for _, row in rows for name in row.methods))
    return {
        "data": as_script(
            {
                "fps": float(fps),
                "models": [{"name": model["name"], "group": model["group"]} for model in _models(groups)],
                "groups": [group.name for group in groups],
                "measures": [vars(measure) for measure in measures],
                "classes": list(names),
                "methods": methods,
                "colours": _colours(),
                "clips": data,
            }
        ),
        "controls": _controls(data, groups, measures),
        "models": _models(groups),
        "methods": methods,
        "colormaps": list(COLORMAPS),
        "plain": [
            {key: clip[key] for key in ("heading", "id", "damage")}
            | {"rows": [_plain_row(own, row) for own, (_, row) in zip(clip["rows"], rows, strict=True)]}
            for clip, rows in zip(data, clips.values(), strict=True)
        ],
        "layout": "single" if len(models) == 1 else "",  # the films of several models stand side by side
    }


# The data of the script


def _clip(clip: str, rows: list[tuple[int, Result]], values, names: dict[str, int]) -> dict:
    first = rows[0][1]
    file = Path(first.path).name  # only the name: pages are shared, and the folder is private
    shown = clip if not file or Path(file).stem == clip else f"{clip} · {file}"
    longest = max((row for _, row in rows), key=lambda row: len(row.mask))
    return {
        "id": shown,
        **({} if shown == clip else {"key": clip}),  # by which links name the clip
        "heading": first.label_name if first.label >= 0 else file or clip,
        "label": first.label_name if first.label >= 0 else None,
        "damage": next((row.damage for _, row in rows if row.damage), ""),
        "poster": _middle(longest.mask),
        "event": list(first.event) if first.event[0] >= 0 else None,
        "rows": [_row(model, row, values.get(row.model, {}).get(clip, {}), names) for model, row in rows],
    }


def _middle(mask: np.ndarray) -> int:
    """Returns the frame to show while the film does not play: the middle one of the perturbed frames."""
    perturbed = np.flatnonzero(mask > 0.5)
    return int(perturbed[len(perturbed) // 2]) if len(perturbed) else len(mask) // 2


def _row(model: int, row: Result, values: Mapping[str, float | None], names: dict[str, int]) -> dict:
    """Returns the data of one clip and model.

    Args:
      model: index of the model on the page.
      row: the record.
      values: further numbers by measure.
      names: the number of each class name on the page; new names are added to it.
    """
    height, width = display_size(row.film_size)
    scores = {"OS": row.original_score, "FS": row.freeze_score, "RS": row.reverse_score, "CS": row.true_score}
    if row.objective != "necessary":
        scores["KS"] = row.kept_score
    data = {
        "model": model,
        "predicted": row.predicted_name,
        "target": row.target_name,
        "correct": row.correct,
        "scores": _finite(scores),
        "values": _finite(own_measures(row) | dict(values)),
        "baselines": _finite({"random": row.temporal_iou_random, "centred": row.temporal_iou_centred}),
        "mask": [_level(float(value)) for value in np.clip(row.mask, 0, 1)],
        "objective": row.objective,
        "suffices": suffices(row),
        "strips": _further_strips(row),
        "panes": titles(row.perturbation, row.methods),
        "kinds": row.reel_panels or ("clip", "drawn", "perturbed"),
        "map": _map_in_words(row),
        "seconds": [round(float(second), 2) for second in row.seconds],
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


def suffices(row: Result) -> str:
    """Returns the line about the frames that suffice; "" if they were not asked for."""
    if row.objective == "necessary":
        return ""
    frames = ", ".join(str(frame + 1) for frame in np.flatnonzero(row.sufficient > 0.5)) or "none"
    missed = "" if row.reached else ", less than was asked for"
    return (
        f"Frames that suffice: {frames} of {len(row.sufficient)}. If only these move, the score is "
        f"{number(row.kept_score, 2)} (of {number(row.original_score, 2)}){missed}."
    )


def _doubt(row: Result) -> str:
    """Returns a sentence that states why the mask says little or nothing; "" if the mask is meaningful."""
    if row.still:
        return STILL.format(len(row.mask))
    if is_trusted(row.original_score, row.full_drop):
        return ""
    return "Perturbing the whole clip lowers this score by less than a tenth: the mask says little."


def _map_in_words(row: Result) -> str:
    """Returns a sentence for each map about its layer; "" for maps without one, and for records of earlier versions."""
    layers = zip(row.methods, row.layers, strict=True)
    return " ".join(f"{map_title(method)} of layer {layer}." for method, layer in layers if layer)


def _further_strips(row: Result) -> list[dict]:
    """Returns the masks that are shown below the mask of the record: for each its title and its values."""
    if row.objective != "both":
        return []
    return [{"title": "frames that suffice", "mask": [_level(float(value)) for value in np.clip(row.sufficient, 0, 1)]}]


def _colours() -> dict[str, dict]:
    """Returns the colour maps for the script: 256 colours as hexadecimal digits, and the saturation of the clip."""
    return {
        name: {"table": colour_table(name).tobytes().hex(), "saturation": saturation}
        for name, (_, saturation) in COLORMAPS.items()
    }


def _role(row: Result, label: int) -> str:
    """Returns the roles of a class for a clip: "explained", "true", both or ""."""
    roles = {"explained": row.target, "true": row.label}
    return ", ".join(name for name, of_role in roles.items() if of_role == label)


def _level(value: float) -> float:
    """Rounds a mask value without moving it across 0.5, above which a frame counts as perturbed."""
    return max(round(value, 3), 0.501) if value > 0.5 else round(value, 3)


def _finite(numbers: Mapping[str, float | None]) -> dict[str, float]:
    """Returns the finite numbers, rounded to four decimals."""
    return {key: round(float(value), 4) for key, value in numbers.items() if value is not None and math.isfinite(value)}


def _files(row: Result) -> dict[str, str]:
    names = {
        "film (GIF)": row.gif,
        "film (MP4)": row.mp4,
        "film (WebP)": row.webp,
        "reversed film": row.reversed,
        "PNG (contact sheet)": row.sheet,
    }
    return {name: beside(file) for name, file in names.items() if file}


# The controls


def _controls(clips: list[dict], groups: Sequence[Group], measures: list[Measure]) -> list[tuple]:
    """Returns the menus that filter and sort clips: for each a label, a name, and pairs of a value and its text."""
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
    """Returns the models in order, and whether their films are shown initially."""
    few = sum(len(group.models) for group in groups) <= SHOWN_AT_FIRST
    return [
        {"name": model, "group": index, "shown": few or place == 0}
        for index, group in enumerate(groups)
        for place, model in enumerate(group.models)
    ]


# Without JavaScript


def _plain_row(data: dict, row: Result) -> dict:
    times = [f" ({second:.2f} s)" for second in row.seconds] or [""] * len(row.mask)
    perturbed = ", ".join(f"{frame + 1}{times[frame]}" for frame in np.flatnonzero(row.mask > 0.5)) or "none"
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
        "map": data["map"],
        "doubt": data["doubt"],
        "suffices": data["suffices"],
        "objective": row.objective,
    }
