"""Normalised histograms of a measure, with all groups on the same axes, like the paper's figure 4.

Mänttäri et al., "Interpreting Video Features", ACCV 2020. `histogram` counts values for a study's page and report;
`draw_histograms` draws the histograms with matplotlib.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tfvid.core.files import replacing

BINS = 20
TAIL = 3  # the axis ends at most at this multiple of the 95th percentile
COLOURS = ("#5b3fc4", "#d97706", "#0b8f9c", "#c2407f", "#6b7280", "#7a4a12")  # as on the page in its light theme
LINES = ("-", "--", "-.", ":")  # so that groups can be distinguished without colour
COLUMNS = 3


def histogram(measure: str, title: str, unit: str, values: Mapping[str, np.ndarray], *, whole: bool = False) -> dict:
    """Counts the values of each group in common bins.

    A few very large values, e.g. of the drop ratio, would compress all others into one bin. The axis therefore ends at
    `TAIL` times the 95th percentile of all groups together; values above it are only counted.

    Args:
      measure: key of the measure.
      title: name of the measure on the page.
      unit: of the values; "" for none.
      values: by group, float `(N,)`, one per clip; NaN for a clip without a value.
      whole: use one bin per whole number if there are at most 2 x `BINS` whole numbers, and wider bins otherwise.

    Returns:
      A dict of ``measure``, ``title``, ``unit``; ``edges``, ascending floats; and of dicts by group: ``groups``, the
      density in each bin (the area is the share of values within the edges); ``n``, the number of values; ``left_out``,
      the number of clips without a value; ``beyond``, the number of values above the last edge. All numbers are finite.
      A group without values has no densities.
    """
    columns = {name: np.asarray(column, np.float64) for name, column in values.items()}
    known = {name: column[np.isfinite(column)] for name, column in columns.items()}
    edges = _edges(np.concatenate([*known.values(), np.empty(0)]), whole)
    counts = {name: np.histogram(column, edges)[0] for name, column in known.items()}
    return {
        "measure": measure,
        "title": title,
        "unit": unit,
        "edges": edges.tolist(),
        "groups": {
            name: (counts[name] / (len(column) * np.diff(edges))).tolist() if len(column) else []
            for name, column in known.items()
        },
        "n": {name: len(column) for name, column in known.items()},
        "left_out": {name: len(columns[name]) - len(column) for name, column in known.items()},
        "beyond": {name: len(column) - int(counts[name].sum()) for name, column in known.items()},
    }


def _edges(values: np.ndarray, whole: bool) -> np.ndarray:
    if not len(values):
        return np.array([0.0, 1.0])
    low, high = values.min(), values.max()
    tail = TAIL * np.quantile(values, 0.95)
    if high > tail > low:
        high = tail
    if whole:
        step = max(1, int(np.ceil((high - low + 1) / (2 * BINS))))
        return np.arange(np.floor(low + 0.5), np.floor(high + 0.5) + step + 1, step) - 0.5
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # all values are equal: one bin around them
        return np.array([low - 0.5, low + 0.5])
    return np.linspace(low, high, BINS + 1)


def draw_histograms(
    histograms: Sequence[Mapping], path: str | Path, means: Mapping[str, Mapping[str, float | None]] | None = None
) -> Path:
    """Draws histograms as one PNG, three per row.

    Args:
      histograms: from `histogram`, all with the same groups.
      path: the PNG file.
      means: means by measure and group, drawn as dotted lines; None: no lines.

    Returns:
      The file.
    """
    rows = -(-len(histograms) // COLUMNS)
    figure = Figure(figsize=(11, 0.6 + 2.7 * rows), layout="constrained", dpi=150)
    places = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, counted in zip(places, histograms, strict=False):
        _draw(axes, counted, (means or {}).get(counted["measure"], {}))
    for axes in places[len(histograms) :]:
        axes.remove()
    handles = {label: handle for axes in places[: len(histograms)] for handle, label in _legend(axes)}
    if handles:
        figure.legend(handles.values(), handles, loc="outside upper center", ncols=len(handles), frameon=False)
    with replacing(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
    return Path(path)


def _draw(axes: Axes, counted: Mapping, means: Mapping[str, float | None]):
    for index, (name, densities) in enumerate(counted["groups"].items()):
        colour, line = COLOURS[index % len(COLOURS)], LINES[index % len(LINES)]
        if densities:
            axes.stairs(densities, counted["edges"], fill=True, color=colour, alpha=0.25)
            axes.stairs(densities, counted["edges"], color=colour, linestyle=line, linewidth=1.6, label=name)
        mean = means.get(name)
        if mean is not None and counted["edges"][0] <= mean <= counted["edges"][-1]:
            axes.axvline(mean, color=colour, linestyle=":", linewidth=1.4)
    axes.set_title(", ".join(text for text in (counted["title"], counted["unit"]) if text), fontsize=11)
    axes.set_xlabel(_clips(counted), fontsize=8)
    axes.set_ylabel("density", fontsize=8)
    axes.set_xlim(counted["edges"][0], counted["edges"][-1])
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _clips(counted: Mapping) -> str:
    """Returns the numbers of clips of each group that are shown and that are not."""
    lines = []
    for name, number in counted["n"].items():
        left_out, beyond = counted["left_out"][name], counted["beyond"][name]
        others = [f"{left_out} left out"] * (left_out > 0) + [f"{beyond} further right"] * (beyond > 0)
        lines.append(f"{name}: n {number}" + (f" ({', '.join(others)})" if others else ""))
    return "\n".join(lines)


def _legend(axes: Axes):
    return list(zip(*axes.get_legend_handles_labels(), strict=True))
