"""Draws the figures of a benchmark: matrices of ranks, correlations and agreement, and the maps of one clip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tfvid.core.files import replacing
from tfvid.experiments.attribution.correlation import Correlation
from tfvid.experiments.attribution.findings import ranked
from tfvid.experiments.attribution.judged import Judged
from tfvid.experiments.attribution.measures import OBJECTIVE, TRUTH
from tfvid.report.overlay import overlay, to_uint8

COLUMNS = 7  # of the clips' pictures
SHOWN = 144  # pixels of a picture's shorter side
SLANTED = {"rotation": 60, "ha": "right", "rotation_mode": "anchor", "fontsize": 8}


@dataclass(frozen=True)
class Panel:
    """A matrix of a figure.

    Attributes:
      name: the title.
      rows: names of the rows.
      columns: names of the columns.
      values: `(rows, columns)`; NaN for an empty cell.
      line: the column before which a line is drawn; None for no line.
      bold: bool `(rows, columns)`, the cells written in bold; None for none.
    """

    name: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: np.ndarray
    line: int | None = None
    bold: np.ndarray | None = None


def draw_ranks(networks: Mapping[str, Judged], path) -> Path:
    """Draws every method's rank by every measure, one panel per network, with objective measures left of the line."""
    panels = []
    for name, network in networks.items():
        order = sorted(range(len(network.measures)), key=lambda k: network.measures[k].kind)
        columns = [network.measures[k].name for k in order]
        split = sum(measure.kind == OBJECTIVE for measure in network.measures)
        panels.append(Panel(name, network.methods, columns, ranked(network)[:, order], line=split))
    most = max(np.nanmax(panel.values, initial=1) for panel in panels)
    return _draw_matrices(panels, path, "viridis_r", (1, most), "{:.0f}", "rank, 1 is the best")


def draw_correlations(found: Mapping[str, list[Correlation]], path) -> Path:
    """Draws Spearman's rho of objective measures with measures of the truth; bold if its interval excludes 0."""
    panels = []
    for name, pairs in found.items():
        across = [pair for pair in pairs if (pair.first.kind, pair.second.kind) == (OBJECTIVE, TRUTH)]
        rows = list(dict.fromkeys(pair.first.name for pair in across))
        columns = list(dict.fromkeys(pair.second.name for pair in across))
        values = np.full((len(rows), len(columns)), np.nan)
        certain = np.zeros(values.shape, bool)
        for pair in across:
            place = rows.index(pair.first.name), columns.index(pair.second.name)
            values[place] = np.nan if pair.spearman is None else pair.spearman
            certain[place] = pair.agrees or pair.opposes
        panels.append(Panel(name, rows, columns, values, bold=certain))
    return _draw_matrices(panels, path, "RdBu", (-1, 1), "{:.2f}", "Spearman")


def draw_agreement(matrices: Mapping[str, tuple[Sequence[str], np.ndarray]], path) -> Path:
    """Draws the rank correlation of the maps of every two methods, one panel per network."""
    panels = [Panel(name, rows, rows, matrix) for name, (rows, matrix) in matrices.items()]
    return _draw_matrices(panels, path, "RdBu", (-1, 1), None, "Spearman")


def _draw_matrices(
    panels: list[Panel], path, colours: str, limits: tuple[float, float], form: str | None, title: str
) -> Path:
    """Draws panels, two per row. `form` is the format of the values in the cells; None: no values."""
    across = min(2, len(panels))
    down = -(-len(panels) // across)
    cell = 0.34 if form else 0.26
    width = across * (cell * max(len(panel.columns) for panel in panels) + 2.4) + 1.2
    height = down * (0.26 * max(len(panel.rows) for panel in panels) + 2.2) + 0.2
    figure = Figure(figsize=(width, height), layout="constrained", dpi=90)
    places = figure.subplots(down, across, squeeze=False).ravel()
    for axes in places[len(panels) :]:
        axes.remove()
    places = places[: len(panels)]
    for axes, panel in zip(places, panels, strict=True):
        image = axes.imshow(panel.values, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
        axes.set_title(panel.name, fontsize=10)
        axes.set_xticks(range(len(panel.columns)), panel.columns, **SLANTED)
        axes.set_yticks(range(len(panel.rows)), panel.rows, fontsize=8)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if panel.line is not None:
            axes.axvline(panel.line - 0.5, color="white", linewidth=2.5)
        if form:
            _write_values(axes, panel, form, image)
    bar = figure.colorbar(image, ax=places.tolist(), shrink=0.5, pad=0.01)
    bar.set_label(title, fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return _save(figure, path)


def _write_values(axes, panel: Panel, form: str, image):
    for (row, column), value in np.ndenumerate(panel.values):
        if np.isfinite(value):
            red, green, blue, _ = image.cmap(image.norm(value))
            ink = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
            weight = "bold" if panel.bold is not None and panel.bold[row, column] else "normal"
            text = form.format(value).replace("-", "−")
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=ink, fontweight=weight)


def draw_clip(batch: Mapping, maps: Mapping[str, np.ndarray], title: str, path) -> Path:
    """Draws each method's map of one frame of a clip: the frame in the middle of the event, with its boxes.

    Args:
      batch: of one clip: ``clip`` float `(1, T, H, W, 3)` in [0, 1], ``event`` `(1, 2)`, ``boxes`` `(1, T, N, 4)`.
      maps: by method `(T, h, w)`, in cells.
      title: of the figure.
      path: of the PNG file.
    """
    clip, event, boxes = batch["clip"][0], batch["event"][0], batch["boxes"][0]
    frame = int(event.sum() // 2) if event[0] >= 0 else len(clip) // 2
    rows = -(-(len(maps) + 1) // COLUMNS)
    figure = Figure(figsize=(1.62 * COLUMNS, 1.85 * rows + 0.4), layout="constrained", dpi=110)
    places = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    pictures = {f"frame {frame + 1}": to_uint8(clip[frame : frame + 1])[0]}
    pictures |= {name: _with_heat(clip, heat.astype(np.float32), frame) for name, heat in maps.items()}
    for axes in places:
        axes.axis("off")
    for axes, (name, picture) in zip(places, pictures.items(), strict=False):
        times = -(-SHOWN // min(picture.shape[:2]))
        shown = cv2.resize(picture, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
        for top, left, bottom, right in boxes[frame][~np.isnan(boxes[frame]).any(axis=1)] * times:
            cv2.rectangle(shown, (round(left), round(top)), (round(right), round(bottom)), (80, 220, 255), 1)
        axes.imshow(shown)
        axes.set_title(name.replace("_", " "), fontsize=7)
    figure.suptitle(title, fontsize=9)
    return _save(figure, path)


def _with_heat(clip: np.ndarray, heat: np.ndarray, frame: int) -> np.ndarray:
    """Draws the heat over a frame. Negative values count as 0; the heat is divided by the clip's maximum."""
    heat = np.maximum(heat, 0) / max(float(heat.max()), 1e-12)
    size = clip.shape[2:0:-1]
    heat = cv2.resize(heat[frame], size, interpolation=cv2.INTER_LINEAR)
    return overlay(clip[frame : frame + 1], heat[np.newaxis])[0]


def _save(figure: Figure, path) -> Path:
    with replacing(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
    return Path(path)
