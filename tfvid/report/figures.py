"""Plots, drawn with matplotlib's object interface, so that they do not change the global figure or backend."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tfvid.core.files import replacing

LABELLED = 40  # with more classes, the names would be too small to read


def confusion_matrix(matrix: np.ndarray, class_names: Sequence[str], path: str | Path, title: str = "") -> None:
    """Draws a confusion matrix as a PNG. Rows are true classes, columns predicted classes, colours shares of a row.

    Args:
      matrix: int `(K, K)` counts; they are printed in the cells for up to 20 classes.
      class_names: K names, shown for up to 40 classes.
      path: the PNG file.
      title: of the plot; "" for none.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    count = len(class_names)
    side = float(np.clip(0.35 * count + 3.5, 5, 16))
    figure = Figure(figsize=(side, side), layout="constrained", dpi=120)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="viridis", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if count <= LABELLED:
        axes.set_xticks(range(count), class_names, rotation=90, fontsize=7)
        axes.set_yticks(range(count), class_names, fontsize=7)
    if count <= 20:
        for (row, column), clips in np.ndenumerate(matrix):
            colour = "black" if shares[row, column] > 0.6 else "white"
            axes.text(column, row, str(clips), ha="center", va="center", color=colour, fontsize=7)
    with replacing(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
