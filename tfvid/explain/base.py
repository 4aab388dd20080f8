"""What every explainer shares: one way in, one way out.

`Explainer` checks what comes in, cuts it into chunks, and joins the results. The model it sees is a `Classifier`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, TfvidError, warn_caller
from tfvid.explain.shown import Shown
from tfvid.network.checks import checked_clips, class_indices
from tfvid.network.classifier import OUT_OF_MEMORY, Classifier


@dataclass(frozen=True)
class Explanation(Shown):
    """What an explainer returns: NumPy arrays, one row a clip.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
    """

    target: np.ndarray
    predicted: np.ndarray

    # Fields of a result type in which NaN stands for what nobody asked; in all others there is none.
    not_known: ClassVar[tuple[str, ...]] = ()

    def __len__(self):
        return len(self.target)

    def checked(self) -> "Explanation":
        """Itself.

        Raises:
          ModelError: NaN or infinite values, which the model's scores or gradients make when they overflow.
        """
        for field in fields(self):
            values = getattr(self, field.name)
            if field.name in self.not_known or values.dtype.kind != "f":
                continue
            bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
            if bad.size:
                raise ModelError(
                    f"clip {bad[0]}: the explanation's {field.name} is NaN or infinite ({bad.size} of {len(self)}), "
                    "since the model's scores or their gradients are; look at its weights, its precision and the range "
                    "of the clips (input_range)"
                )
        return self

    @classmethod
    def join(cls, parts: list["Explanation"]) -> "Explanation":
        """One result of several, in order."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})


@dataclass(frozen=True)
class Attribution(Explanation):
    """A map for each clip: how much each place and time speaks for the class.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, what is explained: the logit or the probability of `target`, as the method says.
      attribution: float32 `(B, T, H, W)`, at the clip's resolution; signed where the method tells for from against.
    """

    score: np.ndarray
    attribution: np.ndarray


class Explainer(ABC):
    """Explains a video model's answer for clips.

    A new method is one file with one subclass: `_explain`, and, where `Attribution` does not hold all it finds, a
    result class derived from `Explanation`.

    Args:
      model: a Keras model from one input, float clips `(B, T, H, W, C)`, to one output, class scores `(B, K)`:
        functional, Sequential or subclassed. It is left unchanged, also after an error. A method that needs scores
        only (`scores_only`) takes any callable instead, NumPy clips to NumPy scores; see `Classifier`.
      output: what the model returns: "logits", "probabilities", or "auto", see `Classifier`. A model with one output
        unit has two classes, 0 and 1, see there.
      input_range: the values (low, high) that the model takes for black and white, e.g. (0, 255): clips in [0, 1] are
        scaled to them. None: clips are given to the model as they are. "auto": what was declared of the model
        (`tfvid.declare`, a model card), or what its first layers say, see `Classifier`.
      batch_size: clips explained at a time; bounds memory, does not change results.

    Attributes:
      batch_size: as given; halved, with a warning, each time the memory does not suffice.
      scores_only: of the class: the method asks for scores and nothing else.
      classifier: the model as `Classifier`.
    """

    scores_only = False

    def __init__(self, model, *, output: str = "auto", input_range="auto", batch_size: int = 8):
        if batch_size < 1:
            raise TfvidError(f"batch_size must be 1 or more, got {batch_size}")
        self.classifier = Classifier(model, output, any_callable=self.scores_only, input_range=input_range)
        self.batch_size = batch_size

    def __call__(self, clips, target=None) -> Explanation:
        """Explains `clips`.

        Args:
          clips: float `(B, T, H, W, C)`, array or tensor, in [0, 1] and RGB, as `tfvid.read_clip` gives them; or, where
            `input_range` is None or nothing is known of it, as the model takes them.
          target: the class to explain: an int for all clips, ints `(B,)`, or None for each clip's predicted class.

        Returns:
          The method's `Explanation`, NumPy arrays with the batch first.

        Raises:
          TfvidError: clips or target that do not fit the model, NaN or infinite pixels; no memory for a single clip.
          ModelError: a model the method cannot explain, or whose scores or gradients are NaN or infinite.
        """
        return self._run(clips, target)

    def prepare(self, clips: tf.Tensor):
        """Learns what it has to know of the model, once, from real clips, float32 `(B, T, H, W, C)`."""
        self.classifier.prepare(clips)

    def _per_clip(self, clips: tf.Tensor) -> list[np.ndarray]:
        """What else `_explain` is given of each clip: arrays `(B, ...)`, made of all the clips before the chunks."""
        return []

    @abstractmethod
    def _explain(self, clips: tf.Tensor, target: tf.Tensor, *per_clip: tf.Tensor) -> Explanation:
        """Explains one chunk: float32 clips, int32 targets `(B,)`, -1 for the predicted class."""

    def _run(self, clips, target, **labels):
        """Checks, explains chunk by chunk, joins. `labels`: more class indices, one a clip, by argument name."""
        given, clips = clips, checked_clips(clips, self.classifier.model)
        self.prepare(clips)
        num_clips, num_classes = len(clips), self.classifier.num_classes
        classes = [_class_indices(target, num_clips, num_classes, "target", lowest=0)]
        classes += [_class_indices(value, num_clips, num_classes, name, lowest=-1) for name, value in labels.items()]
        per_clip = [*classes, *self._per_clip(clips)]
        parts, start = [], 0
        while start < num_clips:
            chunk = slice(start, start + self.batch_size)
            try:
                parts.append(self._explain(clips[chunk], *(rows[chunk] for rows in per_clip)))
            except OUT_OF_MEMORY as error:
                self._halve_batch(error)
            else:
                start = chunk.stop
        return type(parts[0]).join(parts).checked().of(given)

    def _halve_batch(self, error: Exception):
        """Has half as many explained at a time from here on, where the memory did not suffice."""
        method = type(self).__name__
        if self.batch_size == 1:
            raise TfvidError(f"{method}: out of memory at batch_size 1 ({str(error).splitlines()[0]})") from None
        warn_caller(f"{method}: out of memory at batch_size {self.batch_size}, goes on with {self.batch_size // 2}")
        self.batch_size //= 2


def _class_indices(value, num_clips: int, num_classes: int, name: str, lowest: int) -> tf.Tensor:
    """`value` as int32 `(B,)`; None becomes -1, which stands for no class given."""
    if value is None:
        return tf.fill((num_clips,), -1)
    return tf.constant(class_indices(value, num_clips, num_classes, name, lowest))
