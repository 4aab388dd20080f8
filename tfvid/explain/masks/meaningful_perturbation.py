"""Meaningful perturbation: the smallest smooth part of the frames whose blurring removes the class's score.

    minimise over m:  length_weight sum |m| + variation_weight sum |grad m|^3 + E_shift[ p_c(perturb(x, shifted m)) ]

m is a coarse grid of values per frame (or one grid per clip), 1 = perturbed, resized to the frame and smoothed. The
expectation is over shifts by a few pixels, so that no mask depends on single pixels. The optimiser is Adam, with m
clipped to [0, 1].

Fong & Vedaldi, "Interpretable Explanations of Black Boxes by Meaningful Perturbation", ICCV 2017, Eq. 5 (their mask is
1 where nothing changes).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice
from tfvid.explain.base import Attribution
from tfvid.explain.masks.descent import adam
from tfvid.explain.masks.learned_mask import LearnedMask, PassedOptions
from tfvid.network.classifier import chosen_class, class_score
from tfvid.perturb.fill import fill_of, gaussian_blur


@dataclass(frozen=True)
class MeaningfulPerturbationResult(Attribution):
    """A mask in space per clip. Scores are probabilities of the class explained.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, of the unperturbed clip.
      attribution: float32 `(B, T, H, W)` in [0, 1], the smooth mask, 1 = perturbed: the pixels that the class needs.
      native: float32 `(B, T', h, w)` in [0, 1], the coarse grid; T' is T, or 1 for one mask per clip.
      loss: float32 `(B,)`, the objective at the unshifted mask, the sum of the next three terms.
      length_term: float32 `(B,)`, the weighted length of the mask.
      variation_term: float32 `(B,)`, the weighted variation of the mask.
      score_term: float32 `(B,)`, the score of the clip perturbed with the mask.
      full_drop: float32 `(B,)`, the drop of the score if the whole clip is perturbed. If it is <= 0, the perturbation
        does not hurt this class, and the mask has little meaning.
      iterations: int32 `(B,)`, the number of steps.
    """

    native: np.ndarray
    loss: np.ndarray
    length_term: np.ndarray
    variation_term: np.ndarray
    score_term: np.ndarray
    full_drop: np.ndarray
    iterations: np.ndarray


@dataclass(frozen=True)
class SpaceMaskOptions:
    """How a coarse grid becomes a mask in space, and how it is optimised.

    Attributes:
      step: pixels between the grid's values, >= 1; None for 28 values along the shorter side.
      sigma: standard deviation of the Gaussian that smooths the mask, in pixels, >= 0; None for 5/8 of `step`.
      jitter: the number of possible shifts per axis, >= 1; None for 4 at 224 pixels and in proportion.
      init: the initial mask, "circle" or "full".
      init_share: share of the full drop that the initial disc keeps, in (0, 1].
      learning_rate: of Adam, > 0.

    Raises:
      TfvidError: an unknown choice, or a value outside its range.
    """

    step: int | None
    sigma: float | None
    jitter: int | None
    init: str
    init_share: float
    learning_rate: float

    def __post_init__(self):
        check_choice("init", self.init, ("circle", "full"))
        if self.learning_rate <= 0 or not 0 < self.init_share <= 1:
            raise TfvidError(
                f"expected learning_rate > 0 and init_share in (0, 1], got {self.learning_rate}, {self.init_share}"
            )
        lowest = ((self.step, 1), (self.sigma, 0), (self.jitter, 1))
        if any(number is not None and number < least for number, least in lowest):
            raise TfvidError(
                f"expected step >= 1, sigma >= 0 and jitter >= 1, got {self.step}, {self.sigma}, {self.jitter}"
            )

    def step_at(self, size: tuple[int, int]) -> int:
        """Returns the pixels between the grid's values, for frames of `size` (H, W)."""
        return max(1, min(size) // 28) if self.step is None else self.step

    def grid_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the grid's (h, w), for frames of `size` (H, W)."""
        rows, columns = (-(-side // self.step_at(size)) for side in size)
        return rows, columns

    def sigma_at(self, size: tuple[int, int]) -> float:
        """Returns the standard deviation in pixels, for frames of `size` (H, W)."""
        return 5 / 8 * self.step_at(size) if self.sigma is None else self.sigma

    def jitter_at(self, size: tuple[int, int]) -> int:
        """Returns the number of possible shifts per axis, for frames of `size` (H, W)."""
        return max(1, round(4 * min(size) / 224)) if self.jitter is None else self.jitter


class MeaningfulPerturbation(LearnedMask[MeaningfulPerturbationResult]):
    """Finds, for each clip, a mask in space that lowers the class's probability with the least perturbed.

    The defaults are the paper's at 224 pixels. Both penalties are sums over the grid of a frame, as in the paper, and
    means over frames, so that their weights mean the same for clips of any length and for one mask per clip. Masks of
    neighbouring frames are independent.

    Args:
      model: a Keras model from float clips `(B, T, H, W, C)` to class scores `(B, K)`. It is left unchanged.
      per: one mask per "frame", or one per "clip", the same on all frames.
      fill: how hidden pixels are made: a name in `tfvid.perturb.fill.FILLS`, or a function clips -> clips of the same
        shape. "blur" is twice as wide as published (sigma 22 at 224; the paper has 10).
      length_weight: lambda 1, the cost of one value of a frame's grid.
      variation_weight: lambda 2, the cost of differences between neighbouring values of the grid.
      variation_power: beta, >= 1.
      learning_rate: of Adam, > 0.
      iterations: number of Adam steps, >= 0.
      step: pixels between the grid's values, >= 1; None for 28 values along the shorter side, as published, 8 pixels at
        224.
      sigma: standard deviation of the Gaussian that smooths the resized mask, in pixels, >= 0; None for 5/8 of `step`,
        5 as published.
      jitter: in each step the mask is shifted down and right by a random number of pixels, one of `jitter` consecutive
        numbers from -(jitter // 2) on; None for 4 at 224 pixels, as published, and in proportion. 1 is no shift.
      init: the initial mask: "circle", the smallest centred disc that keeps `init_share` of the drop of perturbing the
        whole clip, the same on all frames; "full", everything perturbed.
      init_share: in (0, 1].
      seed: of the shifts; all clips are shifted alike.
      progress: whether to show a progress bar.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out.
      input_range: the values (low, high) that the model expects for black and white; clips in [0, 1] are scaled to
        them. None: clips are passed unscaled. "auto": the declared or implied range, see `Explainer`.
      batch_size: number of clips explained at a time, >= 1.

    Raises:
      TfvidError: an unknown choice, or an option outside its range.

    Example:
      >>> result = MeaningfulPerturbation(model, iterations=100)(clips)
      >>> result.score_term < result.score
      array([ True,  True])
    """

    result_type = MeaningfulPerturbationResult

    def __init__(
        self,
        model,
        *,
        per: str = "frame",
        fill: str | Callable = "blur",
        length_weight: float = 1e-4,
        variation_weight: float = 1e-2,
        variation_power: float = 3.0,
        learning_rate: float = 0.1,
        iterations: int = 300,
        step: int | None = None,
        sigma: float | None = None,
        jitter: int | None = None,
        init: str = "circle",
        init_share: float = 0.99,
        seed: int = 0,
        batch_size: int = 4,
        **options: Unpack[PassedOptions],
    ):
        super().__init__(model, iterations=iterations, batch_size=batch_size, **options)
        check_choice("per", per, ("frame", "clip"))
        self.fill = fill_of(fill, "fill")
        if variation_power < 1:
            raise TfvidError(f"expected variation_power >= 1, got {variation_power}")
        self.per = per
        self.length_weight = length_weight
        self.variation_weight = variation_weight
        self.variation_power = variation_power
        self.options = SpaceMaskOptions(step, sigma, jitter, init, init_share, learning_rate)
        self.seed = seed

    def _begin(self, clips, target):
        probabilities = self.classifier.probabilities(clips)
        predicted, target = chosen_class(probabilities, target)
        original = class_score(probabilities, target)
        score = self._perturbed_score(clips, target)
        num_grids = clips.shape[1] if self.per == "frame" else 1
        discs = centred_discs(self.options.grid_size(clips.shape[2:4]))  # (D, h, w), the first is all ones

        def drop(disc):
            grid = tf.tile(disc[tf.newaxis, tf.newaxis], (tf.shape(clips)[0], num_grids, 1, 1))
            return original - score(self._drawn(clips, grid))

        discs = discs if self.options.init == "circle" else discs[:1]
        drops = tf.map_fn(drop, tf.constant(discs))  # (D, B); one disc at a time bounds memory
        keeps = (drops >= self.options.init_share * drops[0]) & (drops[0] > 0)
        smallest = tf.reduce_max(tf.where(keeps, tf.range(len(discs))[:, tf.newaxis], 0), axis=0)
        grid = tf.tile(tf.gather(discs, smallest)[:, tf.newaxis], (1, num_grids, 1, 1))
        known = {"target": target, "predicted": predicted, "score": original, "full_drop": drops[0]}
        return known, (grid, tf.zeros_like(grid), tf.zeros_like(grid))

    def _drawn(self, clips, grid):
        """Returns the mask at the clips' resolution, `(B, T, H, W)`."""
        size = clips.shape[2:4]
        mask = tf.image.resize(tf.reshape(grid, (-1, *grid.shape[2:], 1)), size, "bilinear")
        mask = gaussian_blur(tf.reshape(mask, (-1, grid.shape[1], *size, 1)), self.options.sigma_at(size))[..., 0]
        return mask if self.per == "frame" else tf.repeat(mask, clips.shape[1], axis=1)

    def _loss(self, clips, target):
        score = self._perturbed_score(clips, target)
        jitter = self.options.jitter_at(clips.shape[2:4])

        def loss(grid, step):
            offset = tf.random.stateless_uniform((2,), (self.seed, step), 0, jitter, tf.int32)
            return sum(self._penalties(grid)) + score(shifted(self._drawn(clips, grid), offset, jitter))

        return loss

    def _perturbed_score(self, clips, target):
        """Returns a function from masks `(B, T, H, W)` to the class's probability for perturbed clips, `(B,)`."""
        filled = self.fill(clips)

        def score(mask):
            perturbed = clips + mask[..., tf.newaxis] * (filled - clips)
            return class_score(self.classifier.probabilities(perturbed), target)

        return score

    def _penalties(self, grid):
        """Returns the first two terms, each `(B,)`."""
        length = tf.reduce_mean(tf.reduce_sum(tf.abs(grid), axis=(2, 3)), axis=1)
        return self.length_weight * length, self.variation_weight * spatial_variation(grid, self.variation_power)

    def _update(self, step, gradient, grid, first, second):
        first, second, move = adam(gradient, step + 1, first, second)
        return tf.clip_by_value(grid - self.options.learning_rate * move, 0, 1), first, second

    def _report(self, clips, target, grid):
        mask = self._drawn(clips, grid)
        length, variation = self._penalties(grid)
        score = self._perturbed_score(clips, target)(mask)
        return {
            "attribution": mask,
            "native": grid,
            "loss": length + variation + score,
            "length_term": length,
            "variation_term": variation,
            "score_term": score,
        }


def spatial_variation(grid, power: float):
    """Returns the sum of ``|difference|^power`` over vertical and horizontal neighbours, averaged over a clip's grids.

    Args:
      grid: float32 `(B, T, h, w)`.
      power: beta, >= 1.

    Returns:
      float32 `(B,)`.
    """
    down = tf.reduce_sum(tf.abs(grid[:, :, 1:] - grid[:, :, :-1]) ** power, axis=(2, 3))
    right = tf.reduce_sum(tf.abs(grid[..., 1:] - grid[..., :-1]) ** power, axis=(2, 3))
    return tf.reduce_mean(down + right, axis=1)


def shifted(masks, offset, jitter: int):
    """Returns masks moved up and left by ``offset - jitter // 2`` pixels, with the edge values repeated.

    Args:
      masks: `(B, T, H, W)`.
      offset: int32 `(2,)`, rows and columns.
      jitter: see `MeaningfulPerturbation`.
    """
    before = jitter // 2
    rows, columns = masks.shape[2:]
    row = tf.clip_by_value(tf.range(rows) + offset[0] - before, 0, rows - 1)
    column = tf.clip_by_value(tf.range(columns) + offset[1] - before, 0, columns - 1)
    return tf.gather(tf.gather(masks, row, axis=2), column, axis=3)


def centred_discs(size: tuple[int, int], number: int = 12) -> np.ndarray:
    """Returns centred binary discs, float32 `(number, h, w)`; the first and largest one is all ones."""
    row, column = ((np.arange(length) - (length - 1) / 2) for length in size)
    distance = np.hypot(row[:, np.newaxis], column)
    radii = np.linspace(1, 0, number, endpoint=False) * distance.max()
    return (distance <= radii[:, np.newaxis, np.newaxis] + 1e-6).astype(np.float32)
