"""How sure a model is of one class: all that the measures of faithfulness ask of it."""

import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, TfvidError, check_choice
from tfvid.network.checks import checked_clips, class_indices
from tfvid.network.classifier import Classifier, class_score
from tfvid.network.compiled import Compiled
from tfvid.perturb.fill import FILLS


class Scorer:
    """A model's probability of one class a clip, compiled once for a clip shape.

    Every measure makes one of the model it is given. Made once and given in the model's place, it is compiled for the
    first measure and shared by all:

      >>> scorer = Scorer(model)
      >>> tfvid.metrics.insertion(scorer, clips, maps, target), tfvid.metrics.deletion(scorer, clips, maps, target)

    Args:
      model: a Keras model of clips, or any callable, NumPy clips to NumPy scores; see
        `tfvid.network.classifier.Classifier`.
      output: "auto", "logits" or "probabilities", see there.
      input_range: "auto", (low, high) or None, see there.

    Attributes:
      classifier: the model as `Classifier`.
    """

    def __init__(self, model, output: str = "auto", input_range="auto"):
        self.classifier = Classifier(model, output, any_callable=True, input_range=input_range)
        self._compiled = Compiled(self._probability)

    @classmethod
    def of(cls, model, output: str = "auto") -> "Scorer":
        """`model` itself where it is a scorer, else one made of it."""
        return model if isinstance(model, cls) else cls(model, output)

    def __call__(self, clips: tf.Tensor, target: np.ndarray) -> np.ndarray:
        """The probability of class ``target[b]`` for clip b, in one run of the model.

        Args:
          clips: float32 `(N, T, H, W, C)`.
          target: int32 `(N,)`.

        Returns:
          Float32 `(N,)`.

        Raises:
          ModelError: the model's answer is NaN.
        """
        scores = self._compiled(clips, tf.constant(target, tf.int32)).numpy()
        if np.isnan(scores).any():
            raise ModelError("the model returns NaN for a changed clip: no measure can be taken of it")
        return scores

    def in_chunks(self, clips_of, target: np.ndarray, batch_size: int) -> np.ndarray:
        """The probabilities for many clips, made when it is their turn.

        Args:
          clips_of: makes some of them, ``slice -> float32 (n, T, H, W, C)``.
          target: int `(N,)`, one a clip.
          batch_size: how many are made and seen by the model at a time.

        Returns:
          Float32 `(N,)`.
        """
        if batch_size < 1:
            raise TfvidError(f"batch_size must be 1 or more, got {batch_size}")
        chunks = [slice(start, start + batch_size) for start in range(0, len(target), batch_size)]
        return np.concatenate([self(clips_of(chunk), target[chunk]) for chunk in chunks])

    def checked(self, clips, target) -> tuple[tf.Tensor, np.ndarray]:
        """Clips as float32 `(B, T, H, W, C)` and classes as int32 `(B,)`.

        Raises:
          TfvidError: clips that do not fit the model, or classes that it does not have.
          ModelError: a model that does not classify clips.
        """
        clips = checked_clips(clips, self.classifier.model)
        self.classifier.prepare(clips)
        return clips, class_indices(target, len(clips), self.classifier.num_classes)

    def _probability(self, clips, target):
        return class_score(self.classifier.probabilities(clips), target)


def fill_of(baseline):
    """What a measure puts in a place of content: a name in `tfvid.perturb.fill.FILLS`, or a function of clips."""
    if callable(baseline):
        return baseline
    check_choice("baseline", baseline, FILLS)
    return FILLS[baseline]
