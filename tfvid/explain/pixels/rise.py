"""RISE in three dimensions: for each voxel, the mean score of the random views that show it.

A view is the clip under a random mask: a coarse random grid of zeros and ones, enlarged to the clip's size and shifted
at random.

    S[v] = sum_n  y_c(view n) M[n, v]  /  sum_n M[n, v]

Petsiuk, Das & Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018, section 3.2;
time is a third axis of the grid here. The paper divides by p, the expected value of a mask. Dividing by the mean of the
masks removes the noise of voxels that are shown more often than others.
"""

from typing import Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice
from tfvid.explain.pixels.masking import MaskingExplainer, MaskingResult, ScoreOptions, weighted_mean

BORDERS = ("hold", "mirror")


class RISE(MaskingExplainer[MaskingResult]):
    """RISE-3D. The map is a mean score, in the range of the scores; only differences within it have a meaning.

    The default fill is each clip's mean colour. The authors fill with zeros, and their images have a mean of zero.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`, or any function from NumPy
        clips to NumPy scores.
      masks: N, the number of masks, 1 or more. The noise of the map shrinks with the square root of N; below a few
        hundred masks it is visible.
      grid: the number of cells of a mask along (T, H, W), each 1 or more.
      keep: p, the probability that a cell is shown, between 0 and 1.
      border: the values of a mask between the centre of an outermost cell and the edge of the grid: "hold" repeats the
        cell's value; "mirror" interpolates back towards the next cell, as the authors' code does. See docs/methods.md.
      seed: the seed of the masks.
      fill: how hidden pixels are made: a name in `tfvid.perturb.fill.FILLS`, or a function from a clip `(1, T, H, W,
        C)` to a clip of the same shape. No fill is neutral for all models.
      score: the score to explain, the "probability" of the class or its "logit".
      progress: whether to show a bar on stderr for work of more than ten seconds a clip.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of masked versions of a clip that the model gets at a time, 1 or more. It bounds memory and
        does not change results.

    Example:
      >>> result = RISE(model, masks=500, seed=1)(clips)
    """

    def __init__(
        self,
        model,
        *,
        masks: int = 2000,
        grid: tuple[int, int, int] = (4, 7, 7),
        keep: float = 0.5,
        border: str = "hold",
        seed: int = 0,
        fill="mean",
        **options: Unpack[ScoreOptions],
    ):
        super().__init__(model, fill=fill, **options)
        if masks < 1 or len(grid) != 3 or min(grid) < 1 or not 0 < keep < 1:
            raise TfvidError(f"expected masks >= 1, a grid (t, h, w), 0 < keep < 1; got {masks}, {grid}, {keep}")
        check_choice("border", border, BORDERS)
        self.masks = masks
        self.grid = tuple(grid)
        self.keep = keep
        self.border = border
        self.seed = seed

    def _compute_clip(self, clip):
        cells, shifts = draw(self.masks, self.grid, clip.shape, self.keep, self.seed)

        def views():
            for rows in clip.batches(self.masks):
                shown = drawn_out(tf.cast(cells[rows], tf.float32), shifts[rows], clip.shape, self.border)
                yield shown, clip(shown)

        return {"attribution": weighted_mean(views())}


def draw(num_masks: int, grid: tuple, shape: tuple, keep: float, seed: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the random numbers of all masks.

    Args:
      num_masks: N.
      grid: the numbers of cells along (T, H, W).
      shape: (T, H, W).
      keep: the probability that a cell is shown.
      seed: the seed.

    Returns:
      Cells, bool `(N, *grid)`, True with probability `keep`; and shifts in voxels, int32 `(N, 3)`, below a cell's size.
    """
    cells = tf.random.stateless_uniform((num_masks, *grid), (seed, 0)) < keep
    size = tf.constant(cell_size(shape, grid), tf.int32)
    # A whole number below `size`, which differs by axis, while `maxval` is one number.
    shifts = tf.random.stateless_uniform((num_masks, 3), (seed, 1), 0, 2**30, tf.int32) % size
    return cells, shifts


def cell_size(shape: tuple, grid: tuple) -> tuple[int, ...]:
    """Returns the size of a cell in voxels along each axis; the cells cover the clip."""
    return tuple(-(-size // cells) for size, cells in zip(shape, grid, strict=True))


def drawn_out(cells: tf.Tensor, shifts: tf.Tensor, shape: tuple, border: str = "hold") -> tf.Tensor:
    """Returns grids enlarged to the clip's resolution by trilinear interpolation, and shifted.

    Args:
      cells: float32 `(M, t, h, w)`.
      shifts: int32 `(M, 3)`, from 0 to a cell's size minus 1.
      shape: (T, H, W).
      border: the values outside the centres of the outermost cells, "hold" or "mirror".

    Returns:
      Float32 `(M, T, H, W)`, in [0, 1] if the cells are.
    """
    grid = tuple(cells.shape[1:])
    t, h, w = (
        _linear_weights(shifts[:, axis], size, cells_along, voxels, border)
        for axis, (size, cells_along, voxels) in enumerate(zip(shape, grid, cell_size(shape, grid), strict=True))
    )
    masks = tf.einsum("mijk,mti->mtjk", cells, t)
    masks = tf.einsum("mtjk,mhj->mthk", masks, h)
    return tf.einsum("mthk,mwk->mthw", masks, w)


def _linear_weights(shift, size: int, cells: int, voxels: int, border: str):
    """The weight of each cell for each voxel, `(M, size, cells)`; rows sum to one.

    The cells are enlarged to ``(cells + 1) * voxels``, as published, so that the clip fits at all shifts.
    """
    voxel = tf.cast(tf.range(size) + shift[:, tf.newaxis], tf.float32)
    position = (voxel + 0.5) * cells / ((cells + 1) * voxels) - 0.5  # in cells, 0 at the first one's centre
    if border == "mirror":
        position = cells - 1 - tf.abs(cells - 1 - tf.abs(position))
    position = tf.clip_by_value(position, 0, cells - 1)[..., tf.newaxis]
    return tf.nn.relu(1 - tf.abs(position - np.arange(cells, dtype=np.float32)))
