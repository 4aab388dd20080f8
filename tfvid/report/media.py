"""Writes the files of one explained clip: films, contact sheet and reel."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfvid.core.errors import TfvidError, unknown
from tfvid.core.files import safe_name
from tfvid.report import film
from tfvid.report.reel import kinds, reel_panels, save_reel
from tfvid.report.sheet import Block, draw_blocks, save_sheet
from tfvid.results.result_store import Result

FORMATS = ("gif", "mp4", "webp")


@dataclass(frozen=True)
class Films:
    """The films and pictures of explained clips.

    Attributes:
      formats: the formats of the films, a subset of "gif", "mp4" and "webp"; () for pictures only.
      fps: frames per second of the films.
      colormap: the colours of the heatmaps: "inferno", "viridis", "turbo" or "jet".
      clips: ids of the clips with films and pictures; None for all clips.

    Raises:
      TfvidError: an unknown format.
    """

    formats: tuple[str, ...] = FORMATS
    fps: float = 5.0
    colormap: str = "inferno"
    clips: frozenset[str] | None = None

    def __post_init__(self):
        for name in self.formats:
            if name not in FORMATS:
                raise TfvidError(unknown("film format", name, FORMATS))

    def include(self, id: str) -> bool:
        """Returns whether the clip `id` gets films and pictures."""
        return self.clips is None or id in self.clips


def write_media(
    result: Result,
    out,
    clip: np.ndarray,
    heats: Mapping[str, np.ndarray],
    perturbed: np.ndarray,
    reversed_clip: np.ndarray | None,
    films: Films,
) -> Result:
    """Writes the files of `result`: ``<out>/<kind>/<model>/<clip>.<suffix>``, kind = films, reversed, sheets, reels.

    Args:
      result: the clip's record, whose classes, scores and mask are drawn.
      out: the run's folder.
      clip: float `(T, H, W, 3)` in [0, 1].
      heats: `(T, h, w)` in [0, 1] by the name of the method. Each gets a column of the films and a row of the sheet.
      perturbed: the clip perturbed by its mask, in the same format as `clip`.
      reversed_clip: the clip reversed by its mask, for a second film; None: no second film.
      films: the formats and the look of the films.

    Returns:
      `result` with the names of the files.
    """
    out = Path(out)
    name = f"{safe_name(result.model)}/{safe_name(result.id)}"
    columns = film.panels(clip, heats, perturbed, perturbation=result.perturbation, colormap=films.colormap)
    texts: dict[str, Any] = {"note": note(result), "event": result.event}
    caption = f"{result.target_name}  {result.original_score:.2f}"
    names: dict[str, Any] = {"sheet": f"sheets/{name}.png", "reel": f"reels/{name}.webp"}
    save_reel(out / names["reel"], reel_panels(columns, heats))
    names["reel_panels"] = kinds(columns)
    save_sheet(out / names["sheet"], draw_blocks([Block(columns, result.mask)], title=caption, **texts))
    if films.formats:
        frames = film.compose(columns, result.mask, caption=caption, **texts)
        for suffix in films.formats:
            names[suffix] = f"films/{name}.{suffix}"
            film.save(out / names[suffix], frames, films.fps)
        if reversed_clip is not None:
            columns = film.panels(clip, heats, reversed_clip, perturbation="reverse", colormap=films.colormap)
            names["reversed"] = f"reversed/{name}.{films.formats[-1]}"
            frames = film.compose(columns, result.mask, caption=caption, **texts)
            film.save(out / names["reversed"], frames, films.fps)
    return dataclasses.replace(result, **names)


def note(result: Result) -> str:
    """Returns the line below a film's caption: model, scores, and the true class if it is not the explained class."""
    parts = [result.model, f"OS {result.original_score:.2f}", f"FS {result.freeze_score:.2f}"]
    parts.append(f"RS {result.reverse_score:.2f}")
    if result.label >= 0 and result.label != result.target:
        parts += [f"CS {result.true_score:.2f}", f"true: {result.label_name}"]
    return "  ·  ".join(parts)
