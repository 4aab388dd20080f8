"""Crop search: the window of a clip with the highest score, found by trying all windows.

Satkin & Hebert, "Modeling the Temporal Extent of Actions", ECCV 2010, search for the crop of a video with the most
confident classification. Mänttäri et al. (ACCV 2020) argue against it because of its cost; tfvid has both methods. A
crop shows which frames are *sufficient* for the class, a temporal mask which frames are *necessary*. These may be
different frames.
"""

from dataclasses import dataclass
from typing import Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.core.sampling import even_indices
from tfvid.explain.base import Explainer, Explanation
from tfvid.explain.masks.objective import Objective
from tfvid.explain.masks.stem import Mixtures
from tfvid.explain.options import ExplainerOptions
from tfvid.network.classifier import chosen_class, class_score
from tfvid.network.compiled import Compiled


@dataclass(frozen=True)
class CropSearchResult(Explanation):
    """The crop of each clip with the highest score. Scores are probabilities of the class explained.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class for the whole clip.
      window: int32 `(B, 2)`, the first frame of the crop, and one past its last frame.
      mask: float32 `(B, T)`, binary, 1 = inside the crop.
      score: float32 `(B,)`, of the crop alone; not below `original_score`, except for rounding.
      original_score: float32 `(B,)`, **OS**, of the whole clip.
      loss: float32 `(B,)`, Eq. 1 (see `TemporalMask`) at `mask`, the sum of the next three terms.
      length_term: float32 `(B,)`, the weighted length of the mask.
      variation_term: float32 `(B,)`, the weighted total variation of the mask.
      score_term: float32 `(B,)`, the score of the clip perturbed with `mask`.
      forward_passes: int32 `(B,)`, the forward passes of the model for this clip.
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
    """Scores all T (T + 1) / 2 windows of each clip. The frames of a window are spread evenly over T, with repeats.

    Among crops with equal scores it takes the shortest, then the first. The model needs T frames, so a crop plays
    slower than the clip. This may affect classes that depend on speed.

    Args:
      model: a Keras model from float clips `(B, T, H, W, C)` to class scores `(B, K)`, or any callable from NumPy clips
        to NumPy scores. It is left unchanged.
      perturbation: of the loss: "freeze", "reverse", "blur", a user's ``"my_file.py:name"``, or a function
        (clips, mask) -> clips. This option and the next four affect the loss only, not the crop.
      length_weight: lambda 1, the cost of one perturbed frame.
      variation_weight: lambda 2, the cost of changes along the mask.
      variation: "published" or "paper", see `total_variation`.
      variation_power: beta, >= 1.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out.
      input_range: the values (low, high) that the model expects for black and white; clips in [0, 1] are scaled to
        them. None: clips are passed unscaled. "auto": the declared or implied range, see `Explainer`.
      batch_size: number of clips explained at a time, >= 1.

    Raises:
      TfvidError: an unknown choice, or an option outside its range; when called, clips of a single frame.

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
        **options: Unpack[ExplainerOptions],
    ):
        super().__init__(model, **options)
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
        """Returns the fields of the result for a chunk; traced once."""
        windows, num_frames = crop_windows(clips.shape[1]), clips.shape[1]
        frames = np.stack([start + even_indices(stop - start, num_frames) for start, stop in windows])
        probabilities = self.classifier.probabilities(clips)
        predicted, target = chosen_class(probabilities, target)

        def score(indices):
            return class_score(self.classifier.probabilities(tf.gather(clips, indices, axis=1)), target)

        scores = tf.map_fn(
            score, tf.constant(frames, tf.int32), fn_output_signature=tf.float32
        )  # one crop at a time bounds memory
        best = tf.argmax(scores, axis=0)  # the first of equal scores
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
            "forward_passes": tf.fill(tf.shape(target), len(windows) + 2),  # 2: the whole clip and the loss
        }


def crop_windows(num_frames: int) -> np.ndarray:
    """Returns all windows [start, stop) of at least one frame, the shortest first: int `(T (T + 1) / 2, 2)`."""
    start, last = np.triu_indices(num_frames)
    windows = np.stack([start, last + 1], axis=1)
    return windows[np.argsort(last - start, kind="stable")]
