"""Smooth masks from a coarse grid, and the distance of a mask from a binary mask of a given area.

A mask is the smooth max-convolution of a coarse grid of values g with a round kernel k:

    m(u) = smax over i of  k(|u - u_i| / sigma) g(i),     k(d) = exp(-2 max(0, d - 1/2)^2)
    smax(s) = sum_i s_i exp(20 s_i) / sum_i exp(20 s_i)

so it has no holes or dots smaller than the kernel. Its area is held to a share a of the volume V by the loss
mean((sort(m) - r_a)^2), where r_a is 1 in the last a V places and 0 in the others.

Fong, Patrick & Vedaldi, "Understanding Deep Networks via Extremal Perturbations and Smooth Masks", ICCV 2019,
section 3.2 and Eq. 4.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError


class MaskGenerator:
    """Turns grids of values into smooth masks for frames of one size.

    The grid points are the centres of cells of ``step x step`` pixels that cover the frame; the overhang is cut off
    equally on both sides. A pixel depends on the points within ``1 + ceil(sigma / step)`` cells, as in the published
    code.

    Outside the frame the grid is mirrored. The published code has zeros there and counts a margin around the frame as
    area: `margin`. With zeros and without the margin, points near an edge would affect fewer pixels, the loss would
    pull less on them, and every mask would be highest in the corners, whatever the model needs. With the mirrored grid
    all points weigh the same.

    Args:
      size: (H, W) of the frames.
      step: pixels between grid points, >= 1.
      sigma: the kernel's width in pixels, > 0.
      coldness: of the smooth maximum, >= 0; the larger, the closer to the maximum.
      margin: whether masks have a margin of sigma, rounded up to cells, around the frame, with zeros outside the grid.

    Attributes:
      grid_size: (h, w).
      weights: the kernel, see `cell_weights`.

    Raises:
      TfvidError: an option outside its range.
    """

    def __init__(self, size: tuple[int, int], step: int, sigma: float, coldness: float = 20.0, margin: bool = False):
        if step < 1 or sigma <= 0 or coldness < 0:
            raise TfvidError(f"expected step >= 1, sigma > 0 and coldness >= 0, got {step}, {sigma}, {coldness}")
        self.size, self.step, self.coldness = tuple(size), step, coldness
        self.grid_size = tuple(-(-side // step) for side in self.size)
        self._radius = 1 + math.ceil(sigma / step)  # of the neighbourhood, in cells
        self._width = 2 * self._radius + 1
        self._margin = math.ceil(sigma / step) if margin else 0  # in cells
        self.weights = cell_weights(self._width, step, sigma)

    def __call__(self, grid: tf.Tensor) -> tf.Tensor:
        """Returns the masks of grids.

        Args:
          grid: float32 `(..., h, w)` in [0, 1].

        Returns:
          float32 `(..., H, W)` in [0, 1], larger by the margin on all sides.
        """
        step, margin = self.step, self._margin * self.step
        rows, columns = (length + 2 * self._margin for length in self.grid_size)
        height, width = (length + 2 * margin for length in self.size)
        leading = tf.shape(grid)[:-2]
        points = self._width**2
        pick = np.eye(points, dtype=np.float32).reshape(self._width, self._width, 1, points)
        grid = self._extended(grid)
        neighbours = tf.nn.conv2d(tf.reshape(grid, (-1, *grid.shape[-2:], 1)), pick, 1, "VALID")
        neighbours = tf.reshape(neighbours, (-1, rows * columns, points))
        cells = smooth_max(neighbours, self.weights, self.coldness)  # (N, h w, step^2)
        frames = tf.nn.depth_to_space(tf.reshape(cells, (-1, rows, columns, step**2)), step) if step > 1 else cells
        frames = tf.reshape(frames, (-1, rows * step, columns * step))
        top, left = (rows * step - height) // 2, (columns * step - width) // 2
        frames = frames[:, top : top + height, left : left + width]
        return tf.reshape(frames, tf.concat([leading, (height, width)], 0))

    def visible(self, masks: tf.Tensor) -> tf.Tensor:
        """Returns the masks without their margin: `(..., H, W)`."""
        (height, width), margin = self.size, self._margin * self.step
        return masks[..., margin : margin + height, margin : margin + width]

    def _extended(self, grid: tf.Tensor) -> tf.Tensor:
        """Returns the grid extended by the points outside the frame that the outermost pixels depend on."""
        if self._margin:
            beyond = self._radius + self._margin
            return tf.pad(grid, [(0, 0)] * (grid.shape.rank - 2) + [(beyond, beyond)] * 2)
        rows, columns = self.grid_size
        grid = tf.gather(grid, mirrored(rows, self._radius), axis=-2)
        return tf.gather(grid, mirrored(columns, self._radius), axis=-1)


def mirrored(length: int, beyond: int) -> np.ndarray:
    """Returns the indices of a line that is mirrored `beyond` places at both ends: 1 0 0 1 2 2 1 for (3, 2)."""
    place = np.arange(-beyond, length + beyond) % (2 * length)
    return np.minimum(place, 2 * length - 1 - place)


def cell_weights(width: int, step: int, sigma: float) -> np.ndarray:
    """Returns the kernel's values at the pixels of a cell, for each grid point of its neighbourhood.

    Args:
      width: of the neighbourhood, in cells, odd.
      step: width of a cell in pixels.
      sigma: the kernel's width in pixels.

    Returns:
      float32 `(step^2, width^2)`, both row by row.
    """
    pixel = np.arange(step) - (step - 1) / 2
    point = step * (np.arange(width) - width // 2)
    away = (pixel[:, np.newaxis] - point) ** 2  # (step, width), along one axis
    distance = np.sqrt(away[:, np.newaxis, :, np.newaxis] + away[np.newaxis, :, np.newaxis, :])
    kernel = np.exp(-2 * np.maximum(0, distance / sigma - 0.5) ** 2)
    return kernel.reshape(step**2, width**2).astype(np.float32)


def smooth_max(values: tf.Tensor, weights: np.ndarray, coldness: float) -> tf.Tensor:
    """Returns the smooth maximum ``sum_k s p`` of ``s = weights[p, k] values[n, i, k]``, where p is its softmax.

    The forward and the backward pass go row by row over N, so only the ``I P K`` terms of one row are in memory.

    Args:
      values: float32 `(N, I, K)`.
      weights: `(P, K)`.
      coldness: the softmax is of ``coldness * s``.

    Returns:
      float32 `(N, I, P)`.
    """

    def terms(row):
        s = row[:, tf.newaxis] * weights  # (I, P, K)
        p = tf.nn.softmax(coldness * s)
        return s, p, tf.reduce_sum(s * p, axis=-1)

    def slope(row_and_upstream):
        row, upstream = row_and_upstream
        s, p, maximum = terms(row)
        change = weights * p * (1 + coldness * (s - maximum[..., tf.newaxis]))  # d maximum / d value
        return tf.einsum("ip,ipk->ik", upstream, change)

    @tf.custom_gradient
    def rows(values):
        def gradient(upstream):
            return tf.map_fn(slope, (values, upstream), fn_output_signature=tf.float32)

        return tf.map_fn(lambda row: terms(row)[2], values), gradient

    maxima = rows(values)
    return tf.ensure_shape(maxima, (None, values.shape[1], len(weights)))


def area_loss(values: tf.Tensor, areas: Sequence[float]) -> tf.Tensor:
    """Returns the distance of values from 1 in a given share of their places and 0 in the others.

    ``mean((sort(m) - r_a)^2)``: the floor(a V) largest values (at least one) are compared with 1, the others with 0.
    For ties see `largest`.

    Args:
      values: float32 `(B, A, ..., V)` in [0, 1], A areas.
      areas: A shares, each in (0, 1).

    Returns:
      float32 `(B, A)`, >= 0, the mean over all further axes.
    """
    volume = values.shape[-1]
    r = largest(values, [max(1, math.floor(area * volume + 1e-6)) for area in areas])
    # (m - r)^2 if r is 0 or 1; its expectation if r is the probability of 1.
    loss = values**2 + r * (1 - 2 * values)
    return tf.reduce_mean(loss, axis=tuple(range(2, values.shape.rank)))


def largest(values: tf.Tensor, counts: Sequence[int]) -> tf.Tensor:
    """Returns which values are among the largest: 1 or 0, without a gradient.

    Values that tie at the border get the probability of being among the largest if ties are broken at random. This is
    the average of shuffling before sorting.

    Args:
      values: float32 `(B, A, ..., V)`.
      counts: the number of largest values, per area, each from 1 to V.

    Returns:
      float32 like `values`, in [0, 1].
    """
    falling = tf.sort(values, direction="DESCENDING")
    border = tf.stack([falling[:, i, ..., count - 1] for i, count in enumerate(counts)], axis=1)[..., tf.newaxis]
    above, tied = tf.cast(values > border, tf.float32), tf.cast(values == border, tf.float32)
    left = np.reshape(np.asarray(counts, np.float32), (-1, *[1] * (values.shape.rank - 2))) - tf.reduce_sum(
        above, -1, True
    )
    return tf.stop_gradient(above + tied * left / tf.reduce_sum(tied, -1, True))


def default_step(size: tuple[int, int]) -> int:
    """Returns the pixels between grid points: 7, as published; less below 112 pixels, so that 16 points remain."""
    return max(1, min(7, min(size) // 16))


def default_sigma(size: tuple[int, int]) -> int:
    """Returns the kernel's width in pixels: 23 at 224, as published, and in proportion, rounded down: 11 at 112."""
    return max(1, min(size) * 23 // 224)


@dataclass(frozen=True)
class GridOptions:
    """How a coarse grid becomes a mask, see `MaskGenerator`.

    Attributes:
      step: pixels between grid points; None for `default_step`.
      sigma: the kernel's width in pixels; None for `default_sigma`.
      coldness: of the smooth maximum.
    """

    step: int | None
    sigma: float | None
    coldness: float

    def generator(self, size: tuple[int, int], margin: bool) -> MaskGenerator:
        """Returns the generator of masks for frames of `size` (H, W).

        Args:
          size: (H, W).
          margin: see `MaskGenerator`.
        """
        step = default_step(size) if self.step is None else self.step
        sigma = default_sigma(size) if self.sigma is None else self.sigma
        return MaskGenerator(size, step, sigma, self.coldness, margin=margin)
