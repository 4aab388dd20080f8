"""Smooth masks from a coarse grid, and how far a mask is from having a given area.

A mask is the smooth max-convolution of a grid of values g, one every few pixels, with a round kernel k:

    m(u) = smax over i of  k(|u - u_i| / sigma) g(i),     k(d) = exp(-2 max(0, d - 1/2)^2)
    smax(s) = sum_i s_i exp(20 s_i) / sum_i exp(20 s_i)

so it cannot have holes or dots smaller than the kernel. Its area is held to a share a of the volume V by what its
sorted values lack of a zeros and ones vector:  mean((sort(m) - r_a)^2),  r_a = 1 in the last a V places.
Fong, Patrick & Vedaldi, "Understanding Deep Networks via Extremal Perturbations and Smooth Masks", ICCV 2019,
section 3.2 and Eq. 4.
"""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError


class MaskGenerator:
    """Grids of values to smooth masks over frames of one size.

    The grid's points lie in the middles of cells of ``step x step`` pixels that cover the frame, an overhang cut off
    alike on both sides. Every pixel sees the points within ``1 + ceil(sigma / step)`` cells, as in the published code.

    Beyond the frame's edge the grid is mirrored. The published code has zeros there, and counts the mask in a margin
    around the frame into its area: `margin`. If only what is visible counts, points near an edge would have fewer
    pixels than the others, less of a pull on them, and the corners would come out on top of every mask, whatever the
    model sees there. With a mirror all points weigh the same.

    Args:
      size: (H, W) of the frames.
      step: pixels from one point of the grid to the next.
      sigma: the kernel's width in pixels.
      coldness: of the smooth maximum; the larger, the closer to the maximum.
      margin: whether masks have a margin of sigma around the frame, rounded up to cells, and zeros lie beyond the grid.

    Attributes:
      grid_size: (h, w).
    """

    def __init__(self, size: tuple[int, int], step: int, sigma: float, coldness: float = 20.0, margin: bool = False):
        if step < 1 or sigma <= 0 or coldness < 0:
            raise TfvidError(f"expected step >= 1, sigma > 0 and coldness >= 0, got {step}, {sigma}, {coldness}")
        self.size, self.step, self.coldness = tuple(size), step, coldness
        self.grid_size = tuple(-(-side // step) for side in self.size)
        self._radius = 1 + math.ceil(sigma / step)  # of the neighbourhood, in cells
        self._width = 2 * self._radius + 1
        self._margin = math.ceil(sigma / step) if margin else 0  # in cells
        self._weights = cell_weights(self._width, step, sigma)

    def __call__(self, grid: tf.Tensor) -> tf.Tensor:
        """Values `(..., h, w)` in [0, 1] to masks in [0, 1], `(..., H, W)`, or larger by the margin on all sides."""
        step, margin = self.step, self._margin * self.step
        rows, columns = (length + 2 * self._margin for length in self.grid_size)
        height, width = (length + 2 * margin for length in self.size)
        leading = tf.shape(grid)[:-2]
        points = self._width**2
        pick = np.eye(points, dtype=np.float32).reshape(self._width, self._width, 1, points)
        grid = self._extended(grid)
        neighbours = tf.nn.conv2d(tf.reshape(grid, (-1, *grid.shape[-2:], 1)), pick, 1, "VALID")
        neighbours = tf.reshape(neighbours, (-1, rows * columns, points))
        cells = smooth_max(neighbours, self._weights, self.coldness)  # (N, h w, step^2)
        frames = tf.nn.depth_to_space(tf.reshape(cells, (-1, rows, columns, step**2)), step) if step > 1 else cells
        frames = tf.reshape(frames, (-1, rows * step, columns * step))
        top, left = (rows * step - height) // 2, (columns * step - width) // 2
        frames = frames[:, top : top + height, left : left + width]
        return tf.reshape(frames, tf.concat([leading, (height, width)], 0))

    def visible(self, masks: tf.Tensor) -> tf.Tensor:
        """Masks without their margin: `(..., H, W)`."""
        (height, width), margin = self.size, self._margin * self.step
        return masks[..., margin : margin + height, margin : margin + width]

    def _extended(self, grid: tf.Tensor) -> tf.Tensor:
        """The grid with what the outermost pixels see beyond it."""
        if self._margin:
            beyond = self._radius + self._margin
            return tf.pad(grid, [(0, 0)] * (grid.shape.rank - 2) + [(beyond, beyond)] * 2)
        rows, columns = self.grid_size
        grid = tf.gather(grid, mirrored(rows, self._radius), axis=-2)
        return tf.gather(grid, mirrored(columns, self._radius), axis=-1)


def mirrored(length: int, beyond: int) -> np.ndarray:
    """The places of a line and of `beyond` more at either end, where it is mirrored: 1 0 0 1 2 2 1 for (3, 2)."""
    place = np.arange(-beyond, length + beyond) % (2 * length)
    return np.minimum(place, 2 * length - 1 - place)


def cell_weights(width: int, step: int, sigma: float) -> np.ndarray:
    """The kernel's values at the pixels of a cell for the grid points around it.

    Args:
      width: of the neighbourhood, in cells, odd.
      step: pixels a cell is wide.
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
    """The smooth maximum of weighted values: ``sum_k s p``, ``s = weights[p, k] values[n, i, k]``, p its softmax.

    Row after row of N, in both directions: the ``I P K`` terms of a row are never kept.

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
        change = weights * p * (1 + coldness * (s - maximum[..., tf.newaxis]))  # of the maximum with each value
        return tf.einsum("ip,ipk->ik", upstream, change)

    @tf.custom_gradient
    def rows(values):
        def gradient(upstream):
            return tf.map_fn(slope, (values, upstream), fn_output_signature=tf.float32)

        return tf.map_fn(lambda row: terms(row)[2], values), gradient

    maxima = rows(values)
    return tf.ensure_shape(maxima, (None, values.shape[1], len(weights)))


def area_loss(values: tf.Tensor, areas: Sequence[float]) -> tf.Tensor:
    """How far values are from being one in a given share of their places and zero in the others.

    ``mean((sort(m) - r_a)^2)``: the floor(a V) largest (one at least) are drawn to 1, the rest to 0; of ties, see
    `largest`.

    Args:
      values: float32 `(B, A, ..., V)` in [0, 1], A areas.
      areas: the shares, in (0, 1), A of them.

    Returns:
      float32 `(B, A)`, >= 0, the mean over all axes that follow.
    """
    volume = values.shape[-1]
    r = largest(values, [max(1, math.floor(area * volume + 1e-6)) for area in areas])
    # (m - r)^2 where r is 0 or 1; where it is a chance of being 1, what is to be expected.
    loss = values**2 + r * (1 - 2 * values)
    return tf.reduce_mean(loss, axis=tuple(range(2, values.shape.rank)))


def largest(values: tf.Tensor, counts: Sequence[int]) -> tf.Tensor:
    """Which values are among the largest: 1 or 0, without a gradient.

    Of values that tie across the border each has its chance to be among the largest, were the ties broken at random:
    what a shuffle before the sort gives on average, without one.

    Args:
      values: float32 `(B, A, ..., V)`.
      counts: how many are, A of them, each from 1 to V.

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
    """Pixels from a point of the grid to the next: 7, as published; less below 112 pixels, where 16 points remain."""
    return max(1, min(7, min(size) // 16))


def default_sigma(size: tuple[int, int]) -> int:
    """The kernel's width in pixels: 23 at 224, as published, and in proportion, rounded down: 11 at 112."""
    return max(1, min(size) * 23 // 224)
