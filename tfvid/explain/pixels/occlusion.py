"""Occlusion: how much the score falls when a window of the clip is hidden.

    R[v] = mean over the windows w that contain voxel v of  y_c(clip) - y_c(clip with w filled)

Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2, slide a grey square
over an image. In a clip, the window also has a length: whole frames show *when*, patches over all frames show *where*,
and tubes show both.
"""

import itertools
from typing import Unpack

import numpy as np

from tfvid.core.errors import TfvidError, check_choice
from tfvid.explain.pixels.masking import MaskingExplainer, MaskingOptions, MaskingResult, weighted_mean

# The window of each unit, as shares of the clip's (T, H, W); None is one frame.
UNITS = {"frame": (None, 1, 1), "patch": (1, 1 / 4, 1 / 4), "tube": (1 / 4, 1 / 4, 1 / 4)}


class Occlusion(MaskingExplainer[MaskingResult]):
    """Occlusion by frames, patches or tubes. The map is signed: below 0 where hiding raises the score.

    The default fill is the blurred clip. A grey or black window adds edges to the clip, and flashes when it begins and
    ends, and a video model also reacts to these.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`, or any function from NumPy
        clips to NumPy scores.
      unit: what is hidden at a time: a "frame"; a "patch", a quarter of height and of width in all frames; or a "tube",
        a quarter of height, width and frames.
      window: (t, h, w) in frames and pixels, instead of the unit's window.
      stride: (t, h, w), the distance between windows, at most the window, so that every voxel is hidden by one; None
        for half the window, rounded up. The last window along an axis ends with the clip.
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

    Raises:
      TfvidError: a window larger than the clip, or a stride that leaves gaps.

    Example:
      >>> result = Occlusion(model, window=(4, 32, 32), stride=(2, 16, 16))(clips)
    """

    def __init__(
        self,
        model,
        unit: str = "tube",
        *,
        window: tuple[int, int, int] | None = None,
        stride: tuple[int, int, int] | None = None,
        **options: Unpack[MaskingOptions],
    ):
        super().__init__(model, **options)
        check_choice("unit", unit, UNITS)
        self.unit = unit
        self.window = window
        self.stride = stride

    def _compute_clip(self, clip):
        window = self.window or unit_window(self.unit, clip.shape)
        stride = self.stride or tuple(-(-size // 2) for size in window)
        covers = windows(clip.shape, window, stride)

        def drops():
            for rows in clip.batches(len(covers)):
                covered = inside(covers[rows], clip.shape)
                yield covered, clip.score - clip(1 - covered)

        return {"attribution": weighted_mean(drops())}


def unit_window(unit: str, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Returns the window (t, h, w) of a unit in a clip of shape (T, H, W), at least one voxel."""
    shares = zip(UNITS[unit], shape, strict=True)
    time, height, width = (1 if share is None else max(1, round(share * size)) for share, size in shares)
    return time, height, width


def windows(shape: tuple, window: tuple, stride: tuple) -> np.ndarray:
    """Returns all windows of a clip.

    Args:
      shape: the clip's (T, H, W).
      window: (t, h, w).
      stride: (t, h, w).

    Returns:
      Int `(N, 3, 2)`: along each axis, the first voxel and one past the last.

    Raises:
      TfvidError: a window larger than the clip, or a stride that leaves gaps.
    """
    if len(window) != 3 or any(not 1 <= part <= whole for part, whole in zip(window, shape, strict=True)):
        raise TfvidError(f"window: expected (t, h, w) of 1 to {shape} frames and pixels, got {window}")
    if len(stride) != 3 or any(not 1 <= step <= part for step, part in zip(stride, window, strict=True)):
        raise TfvidError(f"stride: expected (t, h, w) of 1 to {window}, the window, to leave no gap, got {stride}")
    starts = [
        [*range(0, whole - part, step), whole - part] for whole, part, step in zip(shape, window, stride, strict=True)
    ]
    first = np.array(list(itertools.product(*starts)))
    return np.stack([first, first + window], axis=-1)


def inside(windows: np.ndarray, shape: tuple) -> np.ndarray:
    """Returns windows `(M, 3, 2)` as masks, float32 `(M, T, H, W)`, 1 inside."""
    start, stop = windows[..., 0, np.newaxis], windows[..., 1, np.newaxis]
    t, y, x = (
        (np.arange(size) >= start[:, axis]) & (np.arange(size) < stop[:, axis]) for axis, size in enumerate(shape)
    )
    return (t[:, :, None, None] & y[:, None, :, None] & x[:, None, None, :]).astype(np.float32)
