"""Loads an exported model as objects with the interface of the explainers."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, TfvidError
from tfvid.explain.base import Explainer, ResultType
from tfvid.explain.cam.cam import CAMResult
from tfvid.explain.masks.temporal_mask import TemporalMaskResult, stated, warn_of_still_clips
from tfvid.export.graph import RANGE_MESSAGE, in_range
from tfvid.export.saving import CARD, FORMAT, SETTINGS
from tfvid.metrics.masks import still_clips
from tfvid.models.card import read_card
from tfvid.network.checks import checked_clips


def load(path, *, batch_size: int = 4) -> "Exported":
    """Loads a model written by `tfvid.export.save`.

    Args:
      path: the folder.
      batch_size: number of clips that the model sees at a time, >= 1; it bounds memory and does not change results.

    Returns:
      An `Exported`.

    Raises:
      ModelError: there is no exported model, it is damaged, or it has another version of the format.
      TfvidError: a batch size below 1.

    Example:
      >>> exported = tfvid.export.load("exported/shapes/1")
      >>> exported.grad_cam(clips).attribution.shape
      (2, 16, 64, 64)
    """
    if batch_size < 1:
        raise TfvidError(f"batch_size must be 1 or more, got {batch_size}")
    path = Path(path)
    assets = path / "assets"
    if not (path / "saved_model.pb").is_file():
        raise ModelError(f"{path}: no exported model, a folder with a saved_model.pb")
    if not (assets / SETTINGS).is_file():
        raise ModelError(f"{path}: a SavedModel without explanations; tfvid.export.save and scripts/export.py add them")
    settings, card = _read_settings(assets / SETTINGS), read_card(assets / CARD)
    try:
        return Exported(tf.saved_model.load(str(path)), card, settings, batch_size)
    except Exception as error:  # TensorFlow and protobuf raise many types for damaged files
        raise ModelError(f"{path}: cannot load the exported model ({' '.join(str(error).split())[:300]})") from error


def _read_settings(file: Path) -> dict:
    """Reads explain.json and checks the values that `load` needs."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        if settings["format"] != FORMAT:
            raise ModelError(f"{file}: format {settings['format']}, this version of tfvid reads {FORMAT}")
        low, high = settings["clips"]["range"]
        numbers = (
            settings["options"]["mask.iterations"],
            *(size or 1 for size in settings["clips"]["shape"]),
            high - low,
        )
        if not all(isinstance(number, int | float) and number >= 0 for number in numbers):
            raise ValueError(f"expected numbers, got {numbers}")
    except ModelError:
        raise
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ModelError(f"{file}: cannot load the exported model ({type(error).__name__}: {error})") from error
    return settings


class Exported:
    """An exported model.

    Attributes:
      card: its `ModelCard`.
      settings: its other settings, see docs/export.md.
      grad_cam: a callable with the interface of `tfvid.GradCAM`; it returns a `CAMResult`.
      temporal_mask: a callable with the interface of `tfvid.TemporalMask`; it returns a `TemporalMaskResult`. Its
        attribute `iterations` is the number of steps, and can be set.
      signatures: the TensorFlow functions by name.
    """

    def __init__(self, saved, card, settings: dict, batch_size: int):
        self._saved = saved  # keeps the variables alive
        self.card, self.settings, self.signatures = card, settings, saved.signatures
        self._classifier = _Classifier(self)
        self._batch_size = batch_size
        self.grad_cam = _GradCAM(self._classifier, batch_size)
        self.temporal_mask = _TemporalMask(self._classifier, batch_size)

    def classify(self, clips) -> np.ndarray:
        """Returns class probabilities.

        Args:
          clips: float `(B, T, H, W, C)`, in the model's input range.

        Returns:
          float32 `(B, K)`.

        Raises:
          TfvidError: clips that do not fit the model, or lie outside its input range.
        """
        clips = self._classifier.checked(clips)
        self._classifier.prepare(clips)
        starts = range(0, len(clips), self._batch_size)
        return np.concatenate([self._classifier.probabilities(clips[i : i + self._batch_size]) for i in starts])


class _Classifier:
    """The part of `tfvid.network.classifier.Classifier` that `Explainer` needs, for an exported model."""

    def __init__(self, exported: Exported):
        self.signatures = exported.signatures
        self.num_classes = len(exported.card.class_names)
        self.iterations = exported.settings["options"]["mask.iterations"]
        self.range = exported.settings["clips"]["range"]
        self.model = SimpleNamespace(inputs=[tf.TensorSpec(exported.settings["clips"]["shape"])])

    def checked(self, clips) -> tf.Tensor:
        return checked_clips(clips, self.model)

    def prepare(self, clips):
        """Refuses clips that the graph would refuse."""
        if not in_range(clips, *self.range):
            got = (tf.reduce_min(clips).numpy(), tf.reduce_max(clips).numpy())
            raise TfvidError(RANGE_MESSAGE.format(*self.range, *got))

    def probabilities(self, clips) -> np.ndarray:
        return self.run("serving_default", clips=clips)["probabilities"]

    def run(self, signature: str, **tensors) -> dict[str, np.ndarray]:
        return {name: output.numpy() for name, output in self.signatures[signature](**tensors).items()}


class _Exported(Explainer[ResultType]):
    """An explainer that runs signatures of an exported model."""

    def __init__(self, classifier: _Classifier, batch_size: int):
        self.classifier = classifier  # type: ignore[assignment]  # replaces the `Classifier` of a Keras model
        self.batch_size = batch_size


class _GradCAM(_Exported[CAMResult]):
    result_type = CAMResult

    def _compute(self, clips, target):
        return self.classifier.run("grad_cam", clips=clips, target=target)


class _TemporalMask(_Exported[TemporalMaskResult]):
    result_type = TemporalMaskResult

    def __init__(self, classifier: _Classifier, batch_size: int):
        super().__init__(classifier, batch_size)
        self.iterations = classifier.iterations

    def __call__(self, clips, target=None, labels=None) -> TemporalMaskResult:
        """See `tfvid.TemporalMask`."""
        result = self._run(clips, target, labels=labels)
        warn_of_still_clips(result)
        return result

    def _compute(self, clips, target, labels):
        steps = tf.fill(target.shape, self.iterations)
        learned = self.classifier.run("temporal_mask", clips=clips, target=target, steps=steps)
        labels, probabilities = labels.numpy(), self.classifier.probabilities(clips)
        true_score = np.where(labels < 0, np.float32(np.nan), probabilities[np.arange(len(labels)), labels])
        learned |= {"probabilities": probabilities, "true_score": true_score, "still": still_clips(clips)}
        return learned | stated(learned, "necessary", 1.0)
