"""Extremal perturbations: of all smooth masks that show a given share of the clip, the one the class lives on best.

    minimise over m:  -w log p_c(x shown through m)  +  lambda_t mean((sort(m) - r_a)^2)        for each area a

r_a has ones in the last a V places, so the second term is zero for a binary mask of area a; lambda_t grows. Smooth
masks by construction, see `tfvid.explain.masks.area_masks`; what is not shown is blurred or faded,
`tfvid.perturb.pyramid`. Fong, Patrick & Vedaldi, "Understanding Deep Networks via Extremal Perturbations and Smooth
Masks", ICCV 2019, Eq. 4-6. By default w = 1 and lambda grows from 300, as in STEP: Li, Wang, Li, Huang & Sato,
"Towards Visually Explaining Video Understanding Networks with Perturbation", arXiv 2005.00375. For the other two
methods their code has w = 100 and keeps the 300: `weights="published"`; see docs/methods.md.

Here each frame has a mask of the given area. `extremal_perturbation_3d` gives the area to the clip as a whole; `step`
holds masks together in space and time besides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice
from tfvid.explain.base import Attribution
from tfvid.explain.masks.area_masks import MaskGenerator, area_loss, default_sigma, default_step
from tfvid.explain.masks.learned_mask import LearnedMask
from tfvid.network.classifier import chosen_class, class_score
from tfvid.perturb.pyramid import PYRAMIDS, pyramid, shown

AREAS = (0.05, 0.1, 0.15, 0.5)
WEIGHTS = ("tfvid", "published")


class Weights(NamedTuple):
    """Of the class's term, and of the area's: in the first step, and by what it is multiplied in each step."""

    target: float
    area: float
    growth: float


OURS = Weights(1.0, 300.0, 1.0008668)


@dataclass(frozen=True)
class ExtremalPerturbationResult(Attribution):
    """Masks of several areas, one of each a clip. Scores are probabilities of the class explained.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, for the clip as it is.
      attribution: float32 `(B, T, H, W)` in [0, 1], the mean of the masks over the areas: high where small ones are.
      masks: float32 `(B, A, T, H, W)` in [0, 1], 1 = shown, in the order of the areas asked for.
      shown_score: float32 `(B, A)`, for the clip shown through each mask, as it is, not rounded.
      area_loss: float32 `(B, A)`, what each mask is away from a binary one of its area.
      loss: float32 `(B, A)`, the whole loss of each area in the end, with the weights of the step after the last.
      iterations: int32 `(B,)`, steps taken.
    """

    masks: np.ndarray
    shown_score: np.ndarray
    area_loss: np.ndarray
    loss: np.ndarray
    iterations: np.ndarray


class ExtremalPerturbation(LearnedMask[ExtremalPerturbationResult]):
    """Extremal perturbations, frame by frame: every frame shows the same share of itself.

    The class's probability is that of the whole clip, all of its frames masked. The published image version flips the
    perturbed image in every second step; clips are never flipped, as that turns a push to the left into one to the
    right.

    Args:
      model: a Keras model, see `Explainer`.
      areas: shares of a frame, each in (0, 1); all are learned side by side, A perturbed clips for each clip.
      weights: "tfvid", which finds a planted truth better in short runs (docs/methods.md), or "published", the weights
        of the code of Li et al. for this method, 100 for the class and 300 for the area; it also blurs as TorchRay
        does, with zeros beyond the frame, and counts a margin around the frame into the area.
      perturbation: what is not shown is "blur"red or "fade"d to black.
      iterations: steps; about 1000 are published.
      learning_rate: of gradient descent.
      momentum: in [0, 1).
      dampening: of the momentum: ``v = momentum v + (1 - dampening) g``, but ``v = g`` in the first step (as PyTorch).
      class_weight: of the class's term; None for the one of `weights`, as with the next two.
      area_weight: lambda_0.
      area_growth: lambda_t = ``area_weight area_growth^t``.
      step: pixels between grid points; None for 7, less below 112 pixels: `area_masks.default_step`.
      sigma: of the kernel in pixels; None for 11 at 112, 23 at 224, and in proportion: `area_masks.default_sigma`.
      coldness: of the smooth maximum.
      num_levels: of the blur pyramid.
      max_blur: its largest standard deviation, in pixels.
      init: the grid's value to begin with; 1 shows everything.
      progress: whether to show a bar.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: clips at a time; the model sees A times as many.

    Raises:
      TfvidError: options out of their range.

    Example:
      >>> result = ExtremalPerturbation(model, areas=(0.1,))(clips)
      >>> result.masks.shape, result.masks.mean()
      ((2, 1, 16, 112, 112), 0.1)
    """

    result_type = ExtremalPerturbationResult
    published = Weights(100.0, 300.0, 1.0)

    def __init__(
        self,
        model,
        areas: Sequence[float] = AREAS,
        *,
        weights: str = "tfvid",
        perturbation: str = "blur",
        iterations: int = 1000,
        learning_rate: float = 0.05,
        momentum: float = 0.9,
        dampening: float = 0.9,
        class_weight: float | None = None,
        area_weight: float | None = None,
        area_growth: float | None = None,
        step: int | None = None,
        sigma: float | None = None,
        coldness: float = 20.0,
        num_levels: int = 8,
        max_blur: float = 20.0,
        init: float = 1.0,
        progress: bool = False,
        output: str = "auto",
        input_range="auto",
        batch_size: int = 2,
    ):
        super().__init__(
            model,
            iterations=iterations,
            progress=progress,
            output=output,
            input_range=input_range,
            batch_size=batch_size,
        )
        check_choice("perturbation", perturbation, PYRAMIDS)
        check_choice("weights", weights, WEIGHTS)
        if not len(areas) or not all(0 < area < 1 for area in areas):
            raise TfvidError(f"areas: expected shares between 0 and 1, got {tuple(areas)}")
        if learning_rate <= 0 or not (0 <= momentum < 1 and 0 <= dampening < 1 and 0 <= init <= 1):
            raise TfvidError(
                "expected learning_rate > 0, momentum and dampening in [0, 1) and init in [0, 1], got "
                f"{learning_rate}, {momentum}, {dampening}, {init}"
            )
        self.areas = tuple(areas)
        self.learning_rate = learning_rate
        self.is_published = weights == "published"
        given = Weights(class_weight, area_weight, area_growth)
        chosen = self.published if self.is_published else OURS
        self.weights = Weights(
            *(own if own is not None else by_default for own, by_default in zip(given, chosen, strict=True))
        )
        self.init = init
        self._momentum = partial(descent, learning_rate=learning_rate, momentum=momentum, dampening=dampening)
        self.step = step
        self.sigma = sigma
        self.coldness = coldness
        self._pyramid = partial(
            pyramid,
            kind=perturbation,
            num_levels=num_levels,
            max_blur=max_blur,
            padding="zeros" if self.is_published else "edge",
        )

    def _begin(self, clips, target):
        probabilities = self.classifier.probabilities(clips)
        predicted, target = chosen_class(probabilities, target)
        known = {"target": target, "predicted": predicted, "score": class_score(probabilities, target)}
        grid_size = self._generator(clips.shape[2:4]).grid_size
        grid = tf.fill((tf.shape(clips)[0], len(self.areas), clips.shape[1], *grid_size), float(self.init))
        return known, (grid, tf.zeros_like(grid))

    def _generator(self, size) -> MaskGenerator:
        step = default_step(size) if self.step is None else self.step
        sigma = default_sigma(size) if self.sigma is None else self.sigma
        return MaskGenerator(size, step, sigma, self.coldness, margin=self.is_published)

    def _loss(self, clips, target):
        generate, shown_score = self._generator(clips.shape[2:4]), self._shown_score(clips, target)

        def loss(grid, step):
            masks = generate(grid)
            return self._total(shown_score(generate.visible(masks)), masks, step)

        return loss

    def _shown_score(self, clips, target):
        """A function of masks `(B, A, T, H, W)`: the probability of the class behind each, `(B, A)`."""
        levels, num_areas = self._pyramid(clips), len(self.areas)

        def score(masks):
            perturbed = tf.reshape(shown(levels, masks), (-1, *clips.shape[1:]))
            probabilities = self.classifier.probabilities(perturbed)
            return tf.reshape(class_score(probabilities, tf.repeat(target, num_areas)), (-1, num_areas))

        return score

    def _total(self, shown_score, masks, step):
        """The loss of masks with their margin, `(B, A)`."""
        return self.weights.target * minus_log(shown_score) + self._regularizer(masks, step)

    def _regularizer(self, masks, step):
        """What masks cost besides the score, `(B, A)`."""
        return grown(self.weights.area, self.weights.growth, step) * self._area_loss(masks)

    def _area_loss(self, masks):
        return area_loss(tf.reshape(masks, (-1, *masks.shape[1:3], np.prod(masks.shape[3:]))), self.areas)

    def _update(self, step, gradient, grid, velocity):
        return self._momentum(step, gradient, grid, velocity)

    def _tell(self, clips, target, grid):
        generate = self._generator(clips.shape[2:4])
        masks = generate(grid)
        visible = generate.visible(masks)
        shown_score = self._shown_score(clips, target)(visible)
        return {
            "attribution": tf.reduce_mean(visible, axis=1),
            "masks": visible,
            "shown_score": shown_score,
            "area_loss": self._area_loss(masks),
            "loss": self._total(shown_score, masks, tf.constant(self.iterations)),
        }


def descent(step, gradient, grid, velocity, *, learning_rate: float, momentum: float, dampening: float):
    """One step of gradient descent with momentum, cut to [0, 1], as PyTorch's SGD makes it.

    Args:
      step: from 0.
      gradient: like `grid`.
      grid: values in [0, 1].
      velocity: like `grid`.

    Returns:
      The grid and the velocity after the step.
    """
    velocity = tf.where(step == 0, gradient, momentum * velocity + (1 - dampening) * gradient)
    return tf.clip_by_value(grid - learning_rate * velocity, 0, 1), velocity


def grown(weight: float, growth: float, step):
    """A weight that is multiplied by `growth` in each step, from 0."""
    return weight * growth ** tf.cast(step, tf.float32)


def minus_log(probabilities):
    """-log p, finite for p = 0."""
    return -tf.math.log(tf.maximum(probabilities, np.finfo(np.float32).tiny))
