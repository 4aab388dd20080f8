"""The base of all explainers: `Explainer` checks the clips, explains them chunk by chunk and joins the results."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import tensorflow as tf

from tfvid.adapters.makes import classifier_of
from tfvid.core.errors import ModelError, TfvidError, warn_caller
from tfvid.explain.options import check_options, full_signature
from tfvid.explain.shown import Shown
from tfvid.network.checks import class_indices
from tfvid.network.classifier import OUT_OF_MEMORY, chosen_class, class_score


@dataclass(frozen=True)
class Explanation(Shown):
    """The base of all results: NumPy arrays with one row per clip.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
    """

    target: np.ndarray
    predicted: np.ndarray

    # The fields that may hold NaN, for "not known". In all other fields NaN is an error.
    not_known: ClassVar[tuple[str, ...]] = ()

    def __len__(self):
        return len(self.target)

    def checked(self) -> "Explanation":
        """Returns this result if its values are finite.

        Raises:
          ModelError: NaN or infinite values. They appear if the model's scores or gradients overflow.
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
        """Returns one result with the clips of all `parts`, in order."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})


@dataclass(frozen=True)
class Attribution(Explanation):
    """A map per clip that says how much each pixel of each frame contributes to the score of the class.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the score that is explained: the logit or the probability of `target`, depending on the
        method.
      attribution: float32 `(B, T, H, W)`, at the clip's resolution. Signed if the method distinguishes evidence for
        the class from evidence against it.
    """

    score: np.ndarray
    attribution: np.ndarray


ResultType = TypeVar("ResultType", bound=Explanation)


class Explainer(ABC, Generic[ResultType]):
    """The base of all explainers. An explainer explains a video model's scores of given clips.

    A new method is one file with one subclass. It implements `_compute`. If `Attribution` does not hold all its
    outputs, it also sets `result_type` to its own dataclass, derived from `Explanation`. For type checkers, it derives
    from ``Explainer[MyResult]``.

    Args:
      model: a Keras model from one input, float clips `(B, T, H, W, C)`, to one output, class scores `(B, K)`:
        functional, Sequential or subclassed. The model is left unchanged, also after an error. A method that needs
        scores only (`scores_only`) also takes any callable from NumPy clips to NumPy scores, see `Classifier`. A
        model with a single output unit has two classes, 0 and 1.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: number of clips explained at a time, >= 1. It bounds memory and does not change results.

    Attributes:
      batch_size: as given; halved, with a warning, each time memory runs out.
      classifier: the model as a `Classifier`.
      scores_only: class attribute: whether the method needs scores only, no gradients and no layers.
      result_type: class attribute: the dataclass of the results.

    Raises:
      TfvidError: an option outside its range.
      ModelError: `model` is no Keras model (or, with `scores_only`, not callable).
    """

    scores_only = False
    result_type: ClassVar[type[Explanation]] = Attribution

    def __init_subclass__(cls, **options):
        """Gives subclasses that pass ``**options`` on the signature with the names of these options."""
        super().__init_subclass__(**options)
        cls.__signature__ = full_signature(cls)

    def __new__(cls, *args, **options):
        check_options(cls, options)
        return super().__new__(cls)

    def __init__(self, model, *, output: str = "auto", input_range="auto", batch_size: int = 8):
        if batch_size < 1:
            raise TfvidError(f"batch_size must be 1 or more, got {batch_size}")
        self.classifier = classifier_of(model, output, any_callable=self.scores_only, input_range=input_range)
        self.batch_size = batch_size

    def __call__(self, clips, target=None) -> ResultType:
        """Explains `clips`.

        Args:
          clips: float `(B, T, H, W, C)`, array or tensor, RGB in [0, 1], as `tfvid.read_clip` returns them. If
            `input_range` is None or unknown: in the range that the model expects.
          target: the class to explain: an int for all clips, ints `(B,)`, or None for each clip's predicted class.

        Returns:
          The method's `Explanation`: NumPy arrays with the batch first.

        Raises:
          TfvidError: clips or target do not fit the model; pixels are NaN or infinite; memory does not suffice for a
            single clip.
          ModelError: the method cannot explain this model, or its scores or gradients are NaN or infinite.
        """
        return self._run(clips, target)

    @property
    def traces(self) -> int:
        """How often the method's main function has been traced: once per clip shape. 0 if the method traces none."""
        compiled = getattr(self, "_compiled", None)
        return compiled.traces if compiled is not None else 0

    def prepare(self, clips: tf.Tensor):
        """Finds out, once, what the method needs to know about the model, from real clips.

        Args:
          clips: float32 `(B, T, H, W, C)`.
        """
        self.classifier.prepare(clips)

    def _per_clip(self, clips: tf.Tensor) -> list[np.ndarray]:
        """Returns more arguments of `_compute`: arrays `(B, ...)`, computed from all clips before they are chunked."""
        return []

    @abstractmethod
    def _compute(self, clips: tf.Tensor, target: tf.Tensor, *per_clip: tf.Tensor) -> dict[str, Any]:
        """Computes the explanation of one chunk of clips.

        Args:
          clips: float32 `(B, T, H, W, C)`.
          target: int32 `(B,)`, the classes to explain, -1 for the predicted class.
          *per_clip: further rows per clip, see `_per_clip`.

        Returns:
          The fields of `result_type` by name: tensors or arrays with the batch first. `target`, `predicted` and
          `score` (then the probability of `target`) may be left out: `Explainer` adds them, by one more run of the
          model.
        """

    def _explain(self, clips: tf.Tensor, target: tf.Tensor, *per_clip: tf.Tensor) -> Explanation:
        """Returns the result for one chunk, see `_compute`."""
        found = self._compute(clips, target, *per_clip)
        names = [field.name for field in fields(self.result_type)]
        if missing := {"target", "predicted", "score"}.intersection(names) - found.keys():
            known = self._scored(clips, target)
            found = found | {name: known[name] for name in missing}
        if found.keys() != set(names):
            raise TfvidError(
                f"{type(self).__name__}._compute: expected the fields of {self.result_type.__name__}, "
                f"{', '.join(names)}; got {', '.join(found)}"
            )
        return self.result_type(**{name: np.asarray(found[name]) for name in names})

    def _scored(self, clips: tf.Tensor, target: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the classes `target` and `predicted`, and `score`, the probability of `target`."""
        probabilities = self.classifier.probabilities(clips)
        predicted, target = chosen_class(probabilities, target)
        return {"target": target, "predicted": predicted, "score": class_score(probabilities, target)}

    def _run(self, clips, target, **labels):
        """Checks the clips, explains them chunk by chunk and joins the results.

        Args:
          clips: see `__call__`.
          target: see `__call__`.
          **labels: further class indices per clip, by argument name; they follow `target` in `_compute`.
        """
        given, clips = clips, self.classifier.checked(clips)
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
        """Halves `batch_size` after an out-of-memory error; raises if it is 1 already."""
        method = type(self).__name__
        if self.batch_size == 1:
            raise TfvidError(f"{method}: out of memory at batch_size 1 ({str(error).splitlines()[0]})") from None
        warn_caller(f"{method}: out of memory at batch_size {self.batch_size}, continues with {self.batch_size // 2}")
        self.batch_size //= 2


def _class_indices(value, num_clips: int, num_classes: int, name: str, lowest: int) -> tf.Tensor:
    """Returns `value` as int32 `(B,)`; None becomes -1, for "no class given"."""
    if value is None:
        return tf.fill((num_clips,), -1)
    return tf.constant(class_indices(value, num_clips, num_classes, name, lowest))
