"""Draws the histograms of a measure, one per group on the same axes, as inline SVG."""

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from tfvid.report.rendering import render

WIDTH, HEIGHT = 420, 200
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 10, 26  # margins of the plot, for its ticks


def histogram_svg(histogram: dict, order: list[str], means: dict[str, float | None]) -> Markup:
    """Draws one entry of a report's ``histograms``.

    Groups differ in colour and line style: the first is solid, the second dashed. The tooltip of a bin shows its
    values.

    Args:
      histogram: ``edges`` (n + 1 ascending numbers), ``groups`` (n densities by name), ``title`` and ``unit``.
      order: names of all groups of the page; the index of a group determines its colour.
      means: the mean of each group, marked if it lies within the edges.

    Returns:
      An ``<svg>`` element; the page's style sheet sets its colours.
    """
    edges = histogram["edges"]
    groups = {name: values for name, values in histogram["groups"].items() if values}
    highest = max((value for values in groups.values() for value in values), default=0) or 1
    plot = _Plot(edges[0], edges[-1], highest)
    return render(
        "histogram.svg",
        label=f"Histogram of {histogram['title']}, {' and '.join(groups) or 'no clips'}",
        plot=plot,
        outlines=[
            (f"g{order.index(name)}", plot.steps(edges, groups[name])) for name in sorted(groups, key=order.index)
        ],
        means=[
            (f"g{order.index(name)}", plot.x(mean))
            for name, mean in means.items()
            if name in groups and mean is not None and edges[0] <= mean <= edges[-1]
        ],
        bins=[_bin(plot, edges, index, groups, histogram["unit"]) for index in range(len(edges) - 1)],
        **{"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM},
    )


def _bin(plot, edges, index: int, groups, unit: str) -> tuple[float, float, str]:
    """Returns the position and width of one bin, and its values as text."""
    lines = [f"{edges[index]:.3g} to {edges[index + 1]:.3g} {unit}".rstrip()]
    lines += [f"{name}: {values[index]:.3g}" for name, values in groups.items()]
    left, right = plot.x(edges[index]), plot.x(edges[index + 1])
    return left, round(right - left, 1), "\n".join(lines)


class _Plot:
    """Maps numbers to coordinates of the drawing."""

    def __init__(self, low: float, high: float, highest: float):
        self.low, self.high, self.highest = low, high, highest

    def x(self, value: float) -> float:
        return round(LEFT + (value - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, density: float) -> float:
        return round(HEIGHT - BOTTOM - density / self.highest * (HEIGHT - TOP - BOTTOM), 1)

    def steps(self, edges, densities) -> str:
        """Returns the path of the outline of the bars, closed along the axis."""
        path = [f"M{self.x(edges[0]):.1f} {self.y(0):.1f}"]
        for right, density in zip(edges[1:], densities, strict=True):
            path.append(f"V{self.y(density):.1f}H{self.x(right):.1f}")
        return "".join(path) + f"V{self.y(0):.1f}Z"

    def vertical_ticks(self) -> list[tuple[float, str]]:
        """Returns positions and texts of the ticks of the density axis."""
        return [(self.y(value), f"{value:.3g}") for value in _ticks(0, self.highest, 3)]

    def horizontal_ticks(self) -> list[tuple[float, str]]:
        """Returns positions and texts of the ticks of the measure's axis."""
        ticks = _ticks(self.low, self.high, 6)
        return [(self.x(value), f"{value:.4g}".replace("-", "−")) for value in ticks]


def _ticks(low: float, high: float, count: int) -> list[float]:
    within = MaxNLocator(count, integer=high - low >= count).tick_values(low, high)
    slack = (high - low) * 1e-6
    return [0.0 if abs(value) < slack else float(value) for value in within if low - slack <= value <= high + slack]
