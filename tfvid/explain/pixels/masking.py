"""Scores of masked versions of a clip, for methods that need scores only.

    masked = fill(clip) + keep * (clip - fill(clip))               keep (T, H, W) in [0, 1], 1: the voxel stays

A method chooses the masks and computes a map from their scores. Clips are explained one by one; the model gets up to
`batch_size` masked versions of a clip at a time. So batches are full for any number of clips, memory is bounded for any
number of masks, all clips get the same masks, and the result of a clip does not depend on the others in its batch.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Unpack

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfvid.core.errors import TfvidError, check_choice
from tfvid.explain.base import Attribution, Explainer, ResultType
from tfvid.explain.options import ExplainerOptions
from tfvid.network.classifier import chosen_class, class_score
from tfvid.network.compiled import Compiled
from tfvid.perturb.fill import fill_of

SILENT_SECONDS = 10  # shorter work shows no bar


@dataclass(frozen=True)
class MaskingResult(Attribution):
    """A map, and the number of forward passes.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the probability of `target` for the whole clip, or its logit (``score="logit"``).
      attribution: float32 `(B, T, H, W)`.
      forward_passes: int32 `(B,)`, the number of masked versions of the clip that the model scored.
    """

    forward_passes: np.ndarray


class ScoreOptions(ExplainerOptions, total=False):
    """The options of `MaskingExplainer`, except `fill`."""

    score: str
    progress: bool


class MaskingOptions(ScoreOptions, total=False):
    """The options of `MaskingExplainer`."""

    fill: str | Callable[[tf.Tensor], tf.Tensor]


class MaskingExplainer(Explainer[ResultType]):
    """The base of explainers by masked clips. A method implements `_compute_clip` for a `MaskedClip`.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`, or any function from NumPy
        clips to NumPy scores.
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
    """

    scores_only = True
    result_type: ClassVar[type[MaskingResult]] = MaskingResult

    def __init__(
        self,
        model,
        *,
        fill="blur",
        score: str = "probability",
        progress: bool = True,
        **options: Unpack[ExplainerOptions],
    ):
        super().__init__(model, **options)
        check_choice("score", score, ("probability", "logit"))
        self.fill = fill_of(fill, "fill")
        self.score = score
        self.progress = progress
        self._compiled = Compiled(self._masked_scores)

    def _compute(self, clips, target, *per_clip):
        parts = []
        for b in range(len(clips)):
            row = slice(b, b + 1)
            clip = MaskedClip(self, clips[row], target[row])
            found = self._compute_clip(clip, *(x[row] for x in per_clip))
            rows = {name: np.asarray(value)[np.newaxis] for name, value in found.items()}
            parts.append(self.result_type(**clip.known(), **rows))
        return vars(self.result_type.join(parts))

    @abstractmethod
    def _compute_clip(self, clip: "MaskedClip", *per_clip) -> dict[str, np.ndarray]:
        """Computes `attribution`, float32 `(T, H, W)`, and what else `result_type` holds, for one clip.

        Each without the batch axis. `MaskedClip.known` adds the rest.
        """

    def filled(self, clip: tf.Tensor) -> tf.Tensor:
        """Returns the fill of a clip: float32 `(1, T, H, W, C)`."""
        filled = tf.cast(self.fill(clip), tf.float32)
        if filled.shape != clip.shape:
            raise TfvidError(f"fill: expected clips {tuple(clip.shape)} back, got {tuple(filled.shape)}")
        return filled

    def _masked_scores(self, clip, filled, keep):
        """The scores `(M, K)` of a clip and its fill `(1, T, H, W, C)`, mixed by `keep` `(M, T, H, W)`; traced once."""
        # TensorFlow broadcasts slowly if one array is broadcast along its last axis and another along its first.
        keep = tf.broadcast_to(keep[..., tf.newaxis], tf.concat([tf.shape(keep), clip.shape[-1:]], 0))
        masked = filled + keep * (clip - filled)
        return self.classifier.logits(masked) if self.score == "logit" else self.classifier.probabilities(masked)


class MaskedClip:
    """One clip, as a function from masks to the scores of the class explained.

    Attributes:
      pixels: float32 `(1, T, H, W, C)`.
      shape: (T, H, W).
      score: the score of the whole clip.
    """

    def __init__(self, explainer: MaskingExplainer, pixels: tf.Tensor, target: tf.Tensor):
        self.pixels = pixels
        self.shape = tuple(pixels.shape[1:4])
        self._explainer = explainer
        self._filled = explainer.filled(pixels)
        self._passes = 0
        scores = self._scores(tf.ones((1, *self.shape)))
        self._predicted, self._target = chosen_class(scores, target)
        self._score = class_score(scores, self._target)
        self.score = float(self._score[0])

    def __call__(self, keep: tf.Tensor) -> tf.Tensor:
        """Returns the scores, float32 `(M,)`, of up to `batch_size` masks, float32 `(M, T, H, W)`."""
        scores = self._scores(keep)
        return class_score(scores, tf.repeat(self._target, len(keep)))

    def batches(self, num_masks: int) -> Iterator[slice]:
        """Yields the numbers of the masks in batches, and shows a progress bar."""
        batch_size = self._explainer.batch_size
        with tqdm(
            desc=type(self._explainer).__name__,
            total=num_masks,
            unit="mask",
            leave=False,
            delay=SILENT_SECONDS,
            disable=not self._explainer.progress,
        ) as bar:
            for start in range(0, num_masks, batch_size):
                stop = min(start + batch_size, num_masks)
                yield slice(start, stop)
                bar.update(stop - start)

    def known(self) -> dict[str, np.ndarray]:
        """Returns the fields that all methods share, `(1,)` each: classes, score, forward passes so far."""
        return {
            "target": self._target.numpy(),
            "predicted": self._predicted.numpy(),
            "score": self._score.numpy(),
            "forward_passes": np.array([self._passes], np.int32),
        }

    def _scores(self, keep):
        self._passes += len(keep)
        return self._explainer._compiled(self.pixels, self._filled, keep)


def weighted_mean(masks_and_scores) -> np.ndarray:
    """Returns the mean score of each voxel, weighted by the masks' values at the voxel.

        sum_n  s[n] M[n, v]  /  sum_n M[n, v]

    Args:
      masks_and_scores: pairs of masks `(M, T, H, W)` and their scores `(M,)`, float32.

    Returns:
      Float32 `(T, H, W)`; 0 where all masks are 0.
    """
    total = weight = 0.0
    for masks, scores in masks_and_scores:
        total += tf.tensordot(scores, masks, 1)
        weight += tf.reduce_sum(masks, axis=0)
    return tf.math.divide_no_nan(total, weight).numpy()
