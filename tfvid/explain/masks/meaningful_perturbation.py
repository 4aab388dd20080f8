"""Meaningful perturbation in space: the smallest smooth part of the frames whose blurring destroys the class's score.

    minimise over m:  length_weight sum |m| + variation_weight sum |grad m|^3 + E_shift[ p_c(perturb(x, shifted m)) ]

m is a coarse grid of values a frame (or one grid for the clip), 1 = perturbed, drawn to the frame's size and smoothed;
the expectation is over shifts by a few pixels, so that no mask lives on single pixels. By Adam, m kept in [0, 1].
Fong & Vedaldi, "Interpretable Explanations of Black Boxes by Meaningful Perturbation", ICCV 2017, Eq. 5 (their mask is
1 where nothing changes).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice, unknown
from tfvid.explain.base import Attribution
from tfvid.explain.masks.descent import adam
from tfvid.explain.masks.learned_mask import LearnedMask
from tfvid.network.classifier import chosen_class, class_score
from tfvid.perturb.fill import FILLS, gaussian_blur


@dataclass(frozen=True)
class MeaningfulPerturbationResult(Attribution):
    """A mask in space for each clip. Scores are probabilities of the class explained.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, for the clip as it is.
      attribution: float32 `(B, T, H, W)` in [0, 1], the smooth mask, 1 = perturbed: what the class cannot do without.
      native: float32 `(B, T', h, w)` in [0, 1], the grid learned; T' is T, or 1 for one mask a clip.
      loss: float32 `(B,)`, the objective at the mask, unshifted, the sum of the three terms.
      length_term: float32 `(B,)`.
      variation_term: float32 `(B,)`.
      score_term: float32 `(B,)`, the score of the clip perturbed with the mask.
      full_drop: float32 `(B,)`, how far perturbing all of the clip lowers the score. Where it is <= 0 the perturbation
        does not hurt this class, and the mask says little.
      iterations: int32 `(B,)`, steps taken.
    """

    native: np.ndarray
    loss: np.ndarray
    length_term: np.ndarray
    variation_term: np.ndarray
    score_term: np.ndarray
    full_drop: np.ndarray
    iterations: np.ndarray


class MeaningfulPerturbation(LearnedMask[MeaningfulPerturbationResult]):
    """Learns, for each clip, a mask in space that lowers the class's probability with the least perturbed.

    Defaults are the paper's at 224 pixels. Both penalties are sums over a frame's grid, as there, and means over
    frames, so that their weights mean the same for a clip of any length and for one mask a clip. Nothing ties the masks
    of neighbouring frames together.

    Args:
      model: a Keras model, see `Explainer`.
      per: a mask for each "frame", or one for the "clip", the same on all frames.
      fill: what the mask puts in place of the clip, a name in `tfvid.perturb.fill.FILLS` or a function clips -> clips
        of the same shape. "blur" is twice as wide as published (sigma 22 at 224; the paper has 10).
      length_weight: lambda 1, the price of one value of a frame's grid.
      variation_weight: lambda 2, the price of changes from a value to its neighbours in the grid.
      variation_power: beta, >= 1.
      learning_rate: Adam's.
      iterations: Adam steps.
      step: pixels between the grid's values; None for 28 values along the shorter side, as published, 8 pixels at 224.
      sigma: of the Gaussian that smooths the drawn mask, in pixels; None for 5/8 of `step`, 5 as published.
      jitter: in each step the mask is shifted by whole pixels, down and right, by -(jitter // 2) up to jitter of them
        in all; None for 4 at 224 pixels, as published, and in proportion. 1 is no shift.
      init: "circle", the smallest centred disc that keeps `init_share` of the drop that perturbing all brings, the same
        on all frames; "full", everything perturbed.
      init_share: in (0, 1].
      seed: of the shifts; all clips are shifted alike.
      progress: whether to show a bar.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.

    Raises:
      TfvidError: options out of their range.

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
        progress: bool = False,
        output: str = "auto",
        input_range="auto",
        batch_size: int = 4,
    ):
        super().__init__(
            model,
            iterations=iterations,
            progress=progress,
            output=output,
            input_range=input_range,
            batch_size=batch_size,
        )
        check_choice("per", per, ("frame", "clip"))
        check_choice("init", init, ("circle", "full"))
        if not callable(fill) and fill not in FILLS:
            raise TfvidError(unknown("fill", fill, FILLS))
        if variation_power < 1 or learning_rate <= 0 or not 0 < init_share <= 1:
            raise TfvidError(
                "expected variation_power >= 1, learning_rate > 0 and init_share in (0, 1], got "
                f"{variation_power}, {learning_rate}, {init_share}"
            )
        if any(number is not None and number < least for number, least in ((step, 1), (sigma, 0), (jitter, 1))):
            raise TfvidError(f"expected step >= 1, sigma >= 0 and jitter >= 1, got {step}, {sigma}, {jitter}")
        self.per = per
        self.fill = fill if callable(fill) else FILLS[fill]
        self.length_weight = length_weight
        self.variation_weight = variation_weight
        self.variation_power = variation_power
        self.learning_rate = learning_rate
        self.step = step
        self.sigma = sigma
        self.jitter = jitter
        self.init = init
        self.init_share = init_share
        self.seed = seed

    def _begin(self, clips, target):
        probabilities = self.classifier.probabilities(clips)
        predicted, target = chosen_class(probabilities, target)
        original = class_score(probabilities, target)
        score = self._perturbed_score(clips, target)
        num_grids = clips.shape[1] if self.per == "frame" else 1
        discs = centred_discs(self._grid_size(clips.shape[2:4]))  # (D, h, w), the first is full

        def drop(disc):
            grid = tf.tile(disc[tf.newaxis, tf.newaxis], (tf.shape(clips)[0], num_grids, 1, 1))
            return original - score(self._drawn(clips, grid))

        discs = discs if self.init == "circle" else discs[:1]
        drops = tf.map_fn(drop, tf.constant(discs))  # (D, B); a disc at a time bounds memory
        keeps = (drops >= self.init_share * drops[0]) & (drops[0] > 0)
        smallest = tf.reduce_max(tf.where(keeps, tf.range(len(discs))[:, tf.newaxis], 0), axis=0)
        grid = tf.tile(tf.gather(discs, smallest)[:, tf.newaxis], (1, num_grids, 1, 1))
        known = {"target": target, "predicted": predicted, "score": original, "full_drop": drops[0]}
        return known, (grid, tf.zeros_like(grid), tf.zeros_like(grid))

    def _grid_size(self, size) -> tuple[int, int]:
        step = self._step(size)
        return tuple(-(-side // step) for side in size)

    def _step(self, size) -> int:
        return max(1, min(size) // 28) if self.step is None else self.step

    def _drawn(self, clips, grid):
        """The mask at the clips' resolution, `(B, T, H, W)`."""
        size = clips.shape[2:4]
        sigma = 5 / 8 * self._step(size) if self.sigma is None else self.sigma
        mask = tf.image.resize(tf.reshape(grid, (-1, *grid.shape[2:], 1)), size, "bilinear")
        mask = gaussian_blur(tf.reshape(mask, (-1, grid.shape[1], *size, 1)), sigma)[..., 0]
        return mask if self.per == "frame" else tf.repeat(mask, clips.shape[1], axis=1)

    def _loss(self, clips, target):
        score = self._perturbed_score(clips, target)
        side = min(clips.shape[2:4])
        jitter = max(1, round(4 * side / 224)) if self.jitter is None else self.jitter

        def loss(grid, step):
            offset = tf.random.stateless_uniform((2,), (self.seed, step), 0, jitter, tf.int32)
            return sum(self._penalties(grid)) + score(shifted(self._drawn(clips, grid), offset, jitter))

        return loss

    def _perturbed_score(self, clips, target):
        """A function of masks `(B, T, H, W)`: the probability of the class for the clips perturbed, `(B,)`."""
        filled = self.fill(clips)

        def score(mask):
            perturbed = clips + mask[..., tf.newaxis] * (filled - clips)
            return class_score(self.classifier.probabilities(perturbed), target)

        return score

    def _penalties(self, grid):
        """The first two terms, each `(B,)`."""
        length = tf.reduce_mean(tf.reduce_sum(tf.abs(grid), axis=(2, 3)), axis=1)
        return self.length_weight * length, self.variation_weight * spatial_variation(grid, self.variation_power)

    def _update(self, step, gradient, grid, first, second):
        first, second, move = adam(gradient, step + 1, first, second)
        return tf.clip_by_value(grid - self.learning_rate * move, 0, 1), first, second

    def _tell(self, clips, target, grid):
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
    """The sum of ``|difference|^power`` between neighbours in a grid, both ways: `(B, T, h, w)` to `(B,)`.

    The mean over the grids of a clip.
    """
    down = tf.reduce_sum(tf.abs(grid[:, :, 1:] - grid[:, :, :-1]) ** power, axis=(2, 3))
    right = tf.reduce_sum(tf.abs(grid[..., 1:] - grid[..., :-1]) ** power, axis=(2, 3))
    return tf.reduce_mean(down + right, axis=1)


def shifted(masks, offset, jitter: int):
    """Masks `(B, T, H, W)` moved up and left by ``offset - jitter // 2`` pixels, `offset` `(2,)`; edges go on."""
    before = jitter // 2
    rows, columns = masks.shape[2:]
    row = tf.clip_by_value(tf.range(rows) + offset[0] - before, 0, rows - 1)
    column = tf.clip_by_value(tf.range(columns) + offset[1] - before, 0, columns - 1)
    return tf.gather(tf.gather(masks, row, axis=2), column, axis=3)


def centred_discs(size: tuple[int, int], number: int = 12) -> np.ndarray:
    """Binary discs about the middle of a grid, the largest, all ones, first: float32 `(number, h, w)`."""
    row, column = ((np.arange(length) - (length - 1) / 2) for length in size)
    distance = np.hypot(row[:, np.newaxis], column)
    radii = np.linspace(1, 0, number, endpoint=False) * distance.max()
    return (distance <= radii[:, np.newaxis, np.newaxis] + 1e-6).astype(np.float32)
