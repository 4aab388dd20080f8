"""The base of the strategies that find masks over time."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import tensorflow as tf

from tfvid.explain.masks.evaluator import MaskEvaluator
from tfvid.network.compiled import Compiled


class Strategy(ABC):
    """Finds, for each clip of a batch, a mask with a low loss.

    Args:
      evaluator: the model and the objective.

    Attributes:
      evaluator: as given.
      compiled: the main function of the strategy, traced once per clip shape.
    """

    compiled: Compiled

    def __init__(self, evaluator: MaskEvaluator):
        self.evaluator = evaluator

    @abstractmethod
    def __call__(self, clips: tf.Tensor, target: tf.Tensor, labels: tf.Tensor, iterations: int) -> Mapping:
        """Finds the masks.

        Args:
          clips: float32 `(B, T, H, W, C)`.
          target: int32 `(B,)`, the classes to explain, -1 for the predicted class.
          labels: int32 `(B,)`, the true classes, -1 if unknown.
          iterations: the maximum number of gradient steps, >= 0.

        Returns:
          All fields of `TemporalMaskResult` but `still`, arrays or tensors.
        """
