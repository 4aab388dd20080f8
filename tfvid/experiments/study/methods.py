"""Compares methods to find a temporal mask: the loss that each reaches, and its cost.

The paper compares the complexity of its learned mask with that of Satkin & Hebert's crop search (Mänttäri et al., ACCV
2020). Here both run on the same clips, together with the searches of `tfvid.TemporalMask` and a random window as the
baseline.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfvid.explain.base import Explainer
from tfvid.explain.masks.crop_search import CropSearch
from tfvid.explain.masks.stem import Mixtures
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.metrics.localization import known_events, random_window, temporal_iou
from tfvid.metrics.masks import mask_length
from tfvid.network.compiled import Compiled
from tfvid.report.table import sample

OF_ALL_METHODS = (
    *("perturbation", "length_weight", "variation_weight", "variation", "variation_power"),
    *("output", "batch_size"),
)


def method_table(model, batches: Iterable[Mapping], options: Mapping | None = None, *, seed: int = 0) -> list[dict]:
    """Explains each clip's predicted class with every method.

    The seconds do not include compilation. The numbers of passes include those for the scores of a result.

    Args:
      model: a Keras model from clips to class scores.
      batches: dicts of ``clip``, float `(B, T, H, W, C)`, and optionally ``event``, int `(B, 2)`, as from
        `tfvid.load_dataset`.
      options: of `TemporalMask`, for the gradient descent; the other methods use the options that they share with it.
      seed: of the random windows, each as long as the clip's mask by gradient descent.

    Returns:
      A row for each method: ``method``; ``clips``; ``loss``, Eq. 1; ``mask_length``, the number of frames above 0.5;
      ``forward_passes``, ``backward_passes`` and ``seconds``, each the mean over clips; ``temporal_iou`` with the
      event. Loss, length and IoU are dicts of ``mean``, ``std``, ``low``, ``high`` (see
      `tfvid.metrics.statistics.describe`) and ``n``; the IoU is None if no event is known. Without clips, the list is
      empty.

    Raises:
      TfvidError: an option is invalid, or the model does not support the clips, see `TemporalMask`.
    """
    methods = _Methods(model, dict(options or {}), seed)
    parts: dict[str, list[_Found]] = {}
    for batch in batches:
        clips = tf.convert_to_tensor(batch["clip"], tf.float32)
        event = np.asarray(batch["event"]) if "event" in batch else np.full((len(clips), 2), -1)
        if not parts:
            methods(clips[:1], event[:1])  # compiles
        for name, found in methods(clips, event).items():
            parts.setdefault(name, []).append(found)
    return [_row(name, found) for name, found in parts.items()]


class _Found(NamedTuple):
    """The results of a method for a batch: `(B,)` each, except `seconds` of all clips together. An IoU may be NaN."""

    loss: np.ndarray
    mask_length: np.ndarray
    forward_passes: np.ndarray
    backward_passes: np.ndarray
    temporal_iou: np.ndarray
    seconds: float


class _Methods:
    """All methods for one model: a function from a batch to the results by method."""

    def __init__(self, model, options: dict, seed: int):
        options.pop("method", None)
        shared = {key: value for key, value in options.items() if key in OF_ALL_METHODS}
        learned = TemporalMask(model, **options)
        options.pop("iterations", None)  # the option is for the published gradient descent only
        searched = TemporalMask(model, **options | {"method": "search+gradient"})
        self.crop = CropSearch(model, **shared)
        self.explainers: dict[str, Explainer] = {
            f"gradient, {learned.iterations} steps": learned,
            "search": TemporalMask(model, **options | {"method": "search"}),
            f"search, then {searched.iterations} steps": searched,
            "crop search": self.crop,
        }
        self.rng = np.random.default_rng(seed)
        self.loss = Compiled(self._loss)

    def __call__(self, clips: tf.Tensor, event: np.ndarray) -> dict[str, _Found]:
        results = {name: _timed(explain, clips) for name, explain in self.explainers.items()}
        learned, _ = next(iter(results.values()))
        results["random window"] = _timed(self._at_random, clips, learned)
        return {name: _found(result, seconds, event) for name, (result, seconds) in results.items()}

    def _loss(self, clips, mask, target):
        return self.crop.objective(Mixtures(self.crop.classifier, None, clips), mask, target).loss

    def _at_random(self, clips, learned) -> "_Window":
        mask = random_window(learned.mask, int(self.rng.integers(2**31)))
        starts = range(0, len(clips), self.crop.batch_size)
        chunks = [slice(start, start + self.crop.batch_size) for start in starts]
        target = tf.constant(learned.target)
        losses = [self.loss(clips[chunk], tf.constant(mask[chunk]), target[chunk]).numpy() for chunk in chunks]
        return _Window(mask, np.concatenate(losses), np.ones(len(mask), np.int32))


class _Window(NamedTuple):
    """A random window, with the fields of a result that `_found` uses."""

    mask: np.ndarray
    loss: np.ndarray
    forward_passes: np.ndarray


def _timed(function: Callable, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def _found(result, seconds: float, event: np.ndarray) -> _Found:
    return _Found(
        loss=result.loss,
        mask_length=mask_length(result.mask),
        forward_passes=result.forward_passes,
        backward_passes=getattr(result, "backward_passes", np.zeros_like(result.forward_passes)),
        temporal_iou=np.where(known_events(event), temporal_iou(result.mask, event), np.nan),
        seconds=seconds,
    )


def _row(name: str, parts: list[_Found]) -> dict:
    *columns, seconds = zip(*parts, strict=True)
    loss, length, forward, backward, iou = map(np.concatenate, columns)
    return {
        "method": name,
        "clips": len(loss),
        "loss": sample(loss),
        "mask_length": sample(length),
        "forward_passes": float(forward.mean()),
        "backward_passes": float(backward.mean()),
        "seconds": sum(seconds) / len(loss),
        "temporal_iou": sample(iou),
    }
