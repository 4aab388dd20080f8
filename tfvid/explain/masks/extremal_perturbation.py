"""Extremal perturbations: among all smooth masks that show a given share of the clip, the one with the best score.

    minimise over m:  -w log p_c(x shown through m)  +  lambda_t mean((sort(m) - r_a)^2)        for each area a

r_a has ones in the last a V places, so the second term is zero for a binary mask of area a; lambda_t grows with the
step t. The masks are smooth by construction (`tfvid.explain.masks.area_masks`). What a mask hides is blurred or faded
(`tfvid.perturb.pyramid`).

Fong, Patrick & Vedaldi, "Understanding Deep Networks via Extremal Perturbations and Smooth Masks", ICCV 2019, Eq. 4-6.
By default w = 1 and lambda grows from 300, as in STEP: Li, Wang, Li, Huang & Sato, "Towards Visually Explaining Video
Understanding Networks with Perturbation", arXiv 2005.00375. For the other two methods their code uses w = 100 and a
constant lambda = 300: ``weights="published"``; see docs/methods.md.

Here each frame has a mask of the given area. In `extremal_perturbation_3d` the area is a share of the whole clip; in
`step` the masks are also coherent in space and time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice
from tfvid.explain.base import Attribution
from tfvid.explain.masks.area_masks import GridOptions, MaskGenerator, area_loss
from tfvid.explain.masks.learned_mask import LearnedMask, PassedOptions
from tfvid.network.classifier import chosen_class, class_score
from tfvid.perturb.pyramid import PYRAMIDS, pyramid, shown

AREAS = (0.05, 0.1, 0.15, 0.5)
WEIGHTS = ("tfvid", "published")


class Weights(NamedTuple):
    """The weights of the two terms.

    Attributes:
      target: w, of the class's term.
      area: lambda_0, of the area's term in the first step.
      growth: the factor by which lambda grows per step.
    """

    target: float
    area: float
    growth: float

    def overridden(self, *given: float | None) -> "Weights":
        """Returns these weights with those of `given` that are not None, in the order of the attributes."""
        return Weights(*(default if own is None else own for own, default in zip(given, self, strict=True)))


OURS = Weights(1.0, 300.0, 1.0008668)


@dataclass(frozen=True)
class MomentumOptions:
    """Gradient descent with momentum, see `descent`.

    Attributes:
      learning_rate: > 0.
      momentum: in [0, 1).
      dampening: in [0, 1).
      init: the initial value of all grid points, in [0, 1].

    Raises:
      TfvidError: a value outside its range.
    """

    learning_rate: float
    momentum: float
    dampening: float
    init: float

    def __post_init__(self):
        in_range = 0 <= self.momentum < 1 and 0 <= self.dampening < 1 and 0 <= self.init <= 1
        if self.learning_rate <= 0 or not in_range:
            raise TfvidError(
                "expected learning_rate > 0, momentum and dampening in [0, 1) and init in [0, 1], got "
                f"{self.learning_rate}, {self.momentum}, {self.dampening}, {self.init}"
            )

    def step(self, step, gradient, grid, velocity):
        """Returns the grid and the velocity after one step, see `descent`."""
        return descent(
            step,
            gradient,
            grid,
            velocity,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            dampening=self.dampening,
        )


@dataclass(frozen=True)
class ExtremalPerturbationResult(Attribution):
    """Masks of several areas, one per area and clip. Scores are probabilities of the class explained.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, of the unperturbed clip.
      attribution: float32 `(B, T, H, W)` in [0, 1], the mean of the masks over the areas; high where small masks are.
      masks: float32 `(B, A, T, H, W)` in [0, 1], 1 = shown, in the order of `areas`.
      shown_score: float32 `(B, A)`, of the clip shown through each mask (soft, not rounded).
      area_loss: float32 `(B, A)`, the distance of each mask from a binary mask of its area.
      loss: float32 `(B, A)`, the loss at the end, with the weights of the step after the last.
      iterations: int32 `(B,)`, the number of steps.
    """

    masks: np.ndarray
    shown_score: np.ndarray
    area_loss: np.ndarray
    loss: np.ndarray
    iterations: np.ndarray


class ExtremalPerturbation(LearnedMask[ExtremalPerturbationResult]):
    """Extremal perturbations, frame by frame: every frame shows the same share of its pixels.

    The class's probability is that of the whole clip with all frames masked. The published image version flips the
    perturbed image in every second step. Clips are never flipped: a flip turns a push to the left into a push to the
    right.

    Args:
      model: a Keras model from float clips `(B, T, H, W, C)` to class scores `(B, K)`. It is left unchanged.
      areas: shares of a frame, each in (0, 1). All are optimised side by side: A perturbed clips per clip.
      weights: "tfvid", which finds a planted region better in short runs (docs/methods.md), or "published", the weights
        of the code of Li et al. for this method: 100 for the class and 300 for the area. "published" also blurs as
        TorchRay does, with zeros outside the frame, and counts a margin around the frame as area.
      perturbation: what replaces hidden pixels: "blur", the blurred clip, or "fade", black.
      iterations: number of steps, >= 0; about 1000 are published.
      learning_rate: of gradient descent, > 0.
      momentum: in [0, 1).
      dampening: in [0, 1): ``v = momentum v + (1 - dampening) g``, and ``v = g`` in the first step, as in PyTorch.
      class_weight: w, the weight of the class's term; None for that of `weights`.
      area_weight: lambda_0, the weight of the area's term in the first step; None for that of `weights`.
      area_growth: lambda_t = ``area_weight area_growth^t``; None for that of `weights`.
      step: pixels between grid points, >= 1; None for 7, less below 112 pixels: `area_masks.default_step`.
      sigma: width of the kernel in pixels, > 0; None for 11 at 112, 23 at 224, and in proportion:
        `area_masks.default_sigma`.
      coldness: of the smooth maximum, >= 0.
      num_levels: of the blur pyramid, >= 2.
      max_blur: its largest standard deviation in pixels, > 0.
      init: the initial value of the grid, in [0, 1]; 1 shows everything.
      progress: whether to show a progress bar.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out.
      input_range: the values (low, high) that the model expects for black and white; clips in [0, 1] are scaled to
        them. None: clips are passed unscaled. "auto": the declared or implied range, see `Explainer`.
      batch_size: number of clips explained at a time, >= 1; the model sees A times as many.

    Raises:
      TfvidError: an option outside its range.

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
        batch_size: int = 2,
        **options: Unpack[PassedOptions],
    ):
        super().__init__(model, iterations=iterations, batch_size=batch_size, **options)
        check_choice("perturbation", perturbation, PYRAMIDS)
        check_choice("weights", weights, WEIGHTS)
        self.areas = _checked_areas(areas)
        self.is_published = weights == "published"
        chosen = self.published if self.is_published else OURS
        self.weights = chosen.overridden(class_weight, area_weight, area_growth)
        self.descent = MomentumOptions(learning_rate, momentum, dampening, init)
        self.grid = GridOptions(step, sigma, coldness)
        padding = "zeros" if self.is_published else "edge"
        self._pyramid = partial(pyramid, kind=perturbation, num_levels=num_levels, max_blur=max_blur, padding=padding)

    def _begin(self, clips, target):
        probabilities = self.classifier.probabilities(clips)
        predicted, target = chosen_class(probabilities, target)
        known = {"target": target, "predicted": predicted, "score": class_score(probabilities, target)}
        grid_size = self._generator(clips.shape[2:4]).grid_size
        grid = tf.fill((tf.shape(clips)[0], len(self.areas), clips.shape[1], *grid_size), float(self.descent.init))
        return known, (grid, tf.zeros_like(grid))

    def _generator(self, size) -> MaskGenerator:
        return self.grid.generator(size, margin=self.is_published)

    def _loss(self, clips, target):
        generate, shown_score = self._generator(clips.shape[2:4]), self._shown_score(clips, target)

        def loss(grid, step):
            masks = generate(grid)
            return self._total(shown_score(generate.visible(masks)), masks, step)

        return loss

    def _shown_score(self, clips, target):
        """Returns a function from masks `(B, A, T, H, W)` to the class's probability through each, `(B, A)`."""
        levels, num_areas = self._pyramid(clips), len(self.areas)

        def score(masks):
            perturbed = tf.reshape(shown(levels, masks), (-1, *clips.shape[1:]))
            probabilities = self.classifier.probabilities(perturbed)
            return tf.reshape(class_score(probabilities, tf.repeat(target, num_areas)), (-1, num_areas))

        return score

    def _total(self, shown_score, masks, step):
        """Returns the loss of masks with their margin, `(B, A)`."""
        return self.weights.target * minus_log(shown_score) + self.regularizer(masks, step)

    def regularizer(self, masks, step):
        """Returns the terms of the loss that do not depend on the score, `(B, A)`."""
        return grown(self.weights.area, self.weights.growth, step) * self.area_penalty(masks)

    def area_penalty(self, masks):
        return area_loss(tf.reshape(masks, (-1, *masks.shape[1:3], np.prod(masks.shape[3:]))), self.areas)

    def _update(self, step, gradient, grid, velocity):
        return self.descent.step(step, gradient, grid, velocity)

    def _report(self, clips, target, grid):
        generate = self._generator(clips.shape[2:4])
        masks = generate(grid)
        visible = generate.visible(masks)
        shown_score = self._shown_score(clips, target)(visible)
        return {
            "attribution": tf.reduce_mean(visible, axis=1),
            "masks": visible,
            "shown_score": shown_score,
            "area_loss": self.area_penalty(masks),
            "loss": self._total(shown_score, masks, tf.constant(self.iterations)),
        }


def descent(step, gradient, grid, velocity, *, learning_rate: float, momentum: float, dampening: float):
    """Computes one step of gradient descent with momentum as PyTorch's SGD does, and clips the grid to [0, 1].

    Args:
      step: from 0.
      gradient: like `grid`.
      grid: values in [0, 1].
      velocity: like `grid`.
      learning_rate: > 0.
      momentum: in [0, 1).
      dampening: in [0, 1).

    Returns:
      The grid and the velocity after the step.
    """
    velocity = tf.where(step == 0, gradient, momentum * velocity + (1 - dampening) * gradient)
    return tf.clip_by_value(grid - learning_rate * velocity, 0, 1), velocity


def grown(weight: float, growth: float, step):
    """Returns ``weight * growth^step``, with steps from 0."""
    return weight * growth ** tf.cast(step, tf.float32)


def minus_log(probabilities):
    """Returns -log p; finite at p = 0."""
    return -tf.math.log(tf.maximum(probabilities, np.finfo(np.float32).tiny))


def _checked_areas(areas: Sequence[float]) -> tuple[float, ...]:
    if not len(areas) or not all(0 < area < 1 for area in areas):
        raise TfvidError(f"areas: expected shares between 0 and 1, got {tuple(areas)}")
    return tuple(areas)
