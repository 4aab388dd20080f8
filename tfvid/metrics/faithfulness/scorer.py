"""The probability of one class, as the measures of faithfulness need it."""

import numpy as np
import tensorflow as tf

from tfvid.adapters.makes import classifier_of
from tfvid.core.errors import ModelError, TfvidError
from tfvid.network.checks import class_indices
from tfvid.network.classifier import class_score
from tfvid.network.compiled import Compiled


class Scorer:
    """A model as a function from clips to the probability of one class each, compiled once for a clip shape.

    Each measure builds a `Scorer` of its model. Pass a `Scorer` instead of the model to compile it once for several
    measures:

      >>> scorer = Scorer(model)
      >>> tfvid.metrics.insertion(scorer, clips, maps, target), tfvid.metrics.deletion(scorer, clips, maps, target)

    Args:
      model: a Keras model of clips, or a function from NumPy clips to NumPy scores.
      output: what the model returns, "logits", "probabilities", or "auto", which reads it from the model.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.

    Attributes:
      classifier: the model as a `Classifier`.
    """

    def __init__(self, model, output: str = "auto", input_range="auto"):
        self.classifier = classifier_of(model, output, any_callable=True, input_range=input_range)
        self._compiled = Compiled(self._probability)

    @classmethod
    def of(cls, model, output: str = "auto") -> "Scorer":
        """Returns `model` if it is a scorer, else a scorer of it."""
        return model if isinstance(model, cls) else cls(model, output)

    def __call__(self, clips: tf.Tensor, target: np.ndarray) -> np.ndarray:
        """Returns the probability of class ``target[b]`` for clip b, by one run of the model.

        Args:
          clips: float32 `(N, T, H, W, C)`.
          target: int32 `(N,)`.

        Returns:
          Float32 `(N,)`.

        Raises:
          ModelError: the model returns NaN.
        """
        scores = self._compiled(clips, tf.constant(target, tf.int32)).numpy()
        if np.isnan(scores).any():
            raise ModelError("the model returns NaN for a changed clip: no measure can be taken of it")
        return scores

    def in_chunks(self, clips_of, target: np.ndarray, batch_size: int) -> np.ndarray:
        """Returns the probabilities for many clips, which are computed in chunks.

        Args:
          clips_of: a function from a slice to its clips, float32 `(n, T, H, W, C)`.
          target: int `(N,)`, one for each clip.
          batch_size: the number of clips in memory at a time, 1 or more.

        Returns:
          Float32 `(N,)`.
        """
        if batch_size < 1:
            raise TfvidError(f"batch_size must be 1 or more, got {batch_size}")
        chunks = [slice(start, start + batch_size) for start in range(0, len(target), batch_size)]
        return np.concatenate([self(clips_of(chunk), target[chunk]) for chunk in chunks])

    def checked(self, clips, target) -> tuple[tf.Tensor, np.ndarray]:
        """Returns clips as float32 `(B, T, H, W, C)` and classes as int32 `(B,)`.

        Raises:
          TfvidError: clips that do not fit the model, or classes that it does not have.
          ModelError: a model that does not classify clips.
        """
        clips = self.classifier.checked(clips)
        self.classifier.prepare(clips)
        return clips, class_indices(target, len(clips), self.classifier.num_classes)

    def _probability(self, clips, target):
        return class_score(self.classifier.probabilities(clips), target)
