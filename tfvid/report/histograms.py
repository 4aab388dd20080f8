"""Normalised histograms of a measure, all groups over each other: the paper's figure 4.

Mänttäri et al., "Interpreting Video Features", ACCV 2020. `histogram` counts, for a study's page and its report;
`draw_histograms` draws what was counted.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tfvid.core.files import replacing

BINS = 20
TAIL = 3  # where the largest value is further out than this many times the 95th percentile, the axis ends there
COLOURS = ("#5b3fc4", "#d97706", "#0b8f9c", "#c2407f", "#6b7280", "#7a4a12")  # the page's, of its light theme
LINES = ("-", "--", "-.", ":")  # so that groups can be told apart without colour
COLUMNS = 3


def histogram(measure: str, title: str, unit: str, values: Mapping[str, np.ndarray], *, whole: bool = False) -> dict:
    """Counts the values of each group in common bins.

    A few far values (of the drop ratio) would press all others into one bin; the axis then ends at `TAIL` times the
    95th percentile of all groups together, and what lies beyond is counted.

    Args:
      measure: its name.
      title: for people.
      unit: of the values; "".
      values: by group, float `(N,)`, one a clip; NaN where a clip has none.
      whole: a bin for each whole number, as far as there are no more than 2 x `BINS` of them.

    Returns:
      ``measure``, ``title``, ``unit``; ``edges``, ascending floats; and by group ``groups``, the density in each bin
      (the area is the share of values that lie within the edges); ``n``, values; ``left_out``, clips without one;
      ``beyond``, values above the last edge. All finite. A group without values has no densities.
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
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # one value: a bin around it
        return np.array([low - 0.5, low + 0.5])
    return np.linspace(low, high, BINS + 1)


def draw_histograms(
    histograms: Sequence[Mapping], path: str | Path, means: Mapping[str, Mapping[str, float | None]] | None = None
) -> Path:
    """Draws histograms as one PNG, three in a row.

    Args:
      histograms: as from `histogram`; the same groups in each.
      path: the PNG file.
      means: by measure and group, dotted lines; None for none.

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
    """How many clips of each group are shown, and how many are not."""
    lines = []
    for name, number in counted["n"].items():
        left_out, beyond = counted["left_out"][name], counted["beyond"][name]
        others = [f"{left_out} left out"] * (left_out > 0) + [f"{beyond} further right"] * (beyond > 0)
        lines.append(f"{name}: n {number}" + (f" ({', '.join(others)})" if others else ""))
    return "\n".join(lines)


def _legend(axes: Axes):
    return list(zip(*axes.get_legend_handles_labels(), strict=True))
