"""A measure's histograms, one a group over each other, as SVG that stands in the page itself."""

from html import escape

from matplotlib.ticker import MaxNLocator

WIDTH, HEIGHT = 420, 200
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 10, 26  # margins of the plot, for its ticks


def histogram_svg(histogram: dict, order: list[str], means: dict[str, float | None]) -> str:
    """Draws one entry of a report's ``histograms``.

    Groups are told apart by colour and by line: the first solid, the second dashed. Each bin says its numbers when
    pointed at.

    Args:
      histogram: ``edges`` (n + 1 ascending numbers), ``groups`` (n densities by name), ``title`` and ``unit``.
      order: names of all groups of the page; a group's place here chooses its colour.
      means: a mark for each group, where it lies within the edges.

    Returns:
      An ``<svg>`` element; its colours are the page's.
    """
    edges = histogram["edges"]
    groups = {name: values for name, values in histogram["groups"].items() if values}
    highest = max((value for values in groups.values() for value in values), default=0) or 1
    plot = _Plot(edges[0], edges[-1], highest)
    parts = [plot.axes()]
    for name in sorted(groups, key=order.index):
        kind = f"g{order.index(name)}"
        parts.append(f'<path class="{kind}" d="{plot.steps(edges, groups[name])}"/>')
    for name, mean in means.items():
        if name in groups and mean is not None and edges[0] <= mean <= edges[-1]:
            kind, x = f"g{order.index(name)}", plot.x(mean)
            parts.append(f'<path class="mean {kind}" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
    parts.append(f'<path class="axis" d="M{LEFT} {plot.y(0):.1f}H{WIDTH - RIGHT}"/>')  # over the bars of no height
    parts += [_bin(plot, edges, index, groups, histogram["unit"]) for index in range(len(edges) - 1)]
    label = escape(f"Histogram of {histogram['title']}, {' and '.join(groups) or 'no clips'}", quote=True)
    return (
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _bin(plot, edges, index: int, groups, unit: str) -> str:
    """An invisible rectangle over one bin that names its values."""
    lines = [f"{edges[index]:.3g} to {edges[index + 1]:.3g} {unit}".rstrip()]
    lines += [f"{name}: {values[index]:.3g}" for name, values in groups.items()]
    left, right = plot.x(edges[index]), plot.x(edges[index + 1])
    return (
        f'<rect class="bin" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{HEIGHT - TOP - BOTTOM}">'
        f"<title>{escape(chr(10).join(lines))}</title></rect>"
    )


class _Plot:
    """Where numbers lie on the drawing."""

    def __init__(self, low: float, high: float, highest: float):
        self.low, self.high, self.highest = low, high, highest

    def x(self, value: float) -> float:
        return LEFT + (value - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)

    def y(self, density: float) -> float:
        return HEIGHT - BOTTOM - density / self.highest * (HEIGHT - TOP - BOTTOM)

    def steps(self, edges, densities) -> str:
        """The outline of the bars, closed along the axis."""
        path = [f"M{self.x(edges[0]):.1f} {self.y(0):.1f}"]
        for right, density in zip(edges[1:], densities, strict=True):
            path.append(f"V{self.y(density):.1f}H{self.x(right):.1f}")
        return "".join(path) + f"V{self.y(0):.1f}Z"

    def axes(self) -> str:
        parts = []
        for value in _ticks(0, self.highest, 3):
            y = self.y(value)
            parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
        for value in _ticks(self.low, self.high, 6):
            text = f"{value:.4g}".replace("-", "−")
            parts.append(f'<text x="{self.x(value):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{text}</text>')
        return "".join(parts)


def _ticks(low: float, high: float, count: int) -> list[float]:
    within = MaxNLocator(count, integer=high - low >= count).tick_values(low, high)
    slack = (high - low) * 1e-6
    return [0.0 if abs(value) < slack else float(value) for value in within if low - slack <= value <= high + slack]
