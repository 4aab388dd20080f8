"""Crop search: the piece of a clip that the model is most confident of, found by trying them all.

Satkin & Hebert, "Modeling the Temporal Extent of Actions", ECCV 2010, look for the crop of a video that a classifier
is surest of. Mänttäri et al. (ACCV 2020) argue against it from its complexity; here both can be run. A crop says
which frames are *enough* for the class, a learned mask which ones the class *cannot do without*. These need not be the
same frames.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.core.sampling import even_indices
from tfvid.explain.base import Explainer, Explanation
from tfvid.explain.masks.objective import Objective
from tfvid.explain.masks.stem import Mixtures
from tfvid.network.classifier import chosen_class, class_score
from tfvid.network.compiled import Compiled


@dataclass(frozen=True)
class CropSearchResult(Explanation):
    """The most confident crop of each clip. Scores are probabilities of the class explained.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class for the whole clip.
      window: int32 `(B, 2)`, the first and one-past-last frame of the crop.
      mask: float32 `(B, T)`, binary, 1 = inside the crop: the frames that matter, as in a `TemporalMaskResult`.
      score: float32 `(B,)`, for the crop alone; never below `original_score`, by more than rounding.
      original_score: float32 `(B,)`, **OS**, for the whole clip.
      loss: float32 `(B,)`, Eq. 1 of the learned mask (see `TemporalMask`) at `mask`.
      length_term: float32 `(B,)`, of that loss.
      variation_term: float32 `(B,)`, of that loss.
      score_term: float32 `(B,)`, of that loss: the score of the clip perturbed by `mask`.
      forward_passes: int32 `(B,)`, runs of the model that this clip took.
    """

    window: np.ndarray
    mask: np.ndarray
    score: np.ndarray
    original_score: np.ndarray
    loss: np.ndarray
    length_term: np.ndarray
    variation_term: np.ndarray
    score_term: np.ndarray
    forward_passes: np.ndarray


class CropSearch(Explainer[CropSearchResult]):
    """Tries all T (T + 1) / 2 windows of each clip, the frames of each spread anew over T, repeated where too few.

    Of crops with equal scores it takes the shortest, then the first. A crop shorter than the clip plays slower, for
    the model wants T frames: a class that goes by speed may answer to that, too.

    Args:
      model: a Keras model or any callable, see `Explainer`.
      perturbation: of the loss, as all options but the last two; see `TemporalMask`. They do not change the crop.
      length_weight: lambda 1.
      variation_weight: lambda 2.
      variation: "published" or "paper".
      variation_power: beta, >= 1.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.

    Example:
      >>> result = CropSearch(model)(clips)
      >>> result.window, result.score > result.original_score
      (array([[4, 9], [0, 16]], dtype=int32), array([ True, False]))
    """

    scores_only = True
    result_type = CropSearchResult

    def __init__(
        self,
        model,
        perturbation="freeze",
        *,
        length_weight: float = 0.01,
        variation_weight: float = 0.02,
        variation: str = "published",
        variation_power: float = 3.0,
        output: str = "auto",
        input_range="auto",
        batch_size: int = 8,
    ):
        super().__init__(model, output=output, input_range=input_range, batch_size=batch_size)
        self.objective = Objective(
            perturbation,
            length_weight=length_weight,
            variation_weight=variation_weight,
            variation=variation,
            variation_power=variation_power,
        )
        self._compiled = Compiled(self._search)

    def prepare(self, clips):
        if clips.shape[1] == 1:
            raise TfvidError("a crop in time needs clips of 2 frames or more, got clips of a single frame")
        super().prepare(clips)

    def _compute(self, clips, target):
        return self._compiled(clips, target)

    def _search(self, clips, target) -> dict[str, tf.Tensor]:
        """The whole search for a chunk; traced once."""
        windows, num_frames = crop_windows(clips.shape[1]), clips.shape[1]
        frames = np.stack([start + even_indices(stop - start, num_frames) for start, stop in windows])
        probabilities = self.classifier.probabilities(clips)
        predicted, target = chosen_class(probabilities, target)

        def score(indices):
            return class_score(self.classifier.probabilities(tf.gather(clips, indices, axis=1)), target)

        scores = tf.map_fn(score, tf.constant(frames, tf.int32), fn_output_signature=tf.float32)  # one crop at a time
        best = tf.argmax(scores, axis=0)  # the first, where there are several
        window = tf.gather(tf.constant(windows, tf.int32), best)
        t = tf.range(num_frames)
        mask = tf.cast((t >= window[:, :1]) & (t < window[:, 1:]), tf.float32)
        terms = self.objective(Mixtures(self.classifier, None, clips), mask, target)
        return {
            "target": target,
            "predicted": predicted,
            "window": window,
            "mask": mask,
            "score": tf.reduce_max(scores, axis=0),
            "original_score": class_score(probabilities, target),
            "loss": terms.loss,
            "length_term": terms.length,
            "variation_term": terms.variation,
            "score_term": terms.score,
            "forward_passes": tf.fill(tf.shape(target), len(windows) + 2),  # besides: the whole clip, and its loss
        }


def crop_windows(num_frames: int) -> np.ndarray:
    """Every window [start, stop) of at least one frame, short ones first: int `(T (T + 1) / 2, 2)`."""
    start, last = np.triu_indices(num_frames)
    windows = np.stack([start, last + 1], axis=1)
    return windows[np.argsort(last - start, kind="stable")]
