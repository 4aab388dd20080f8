"""Sanity checks: does an explanation change when what the model has learned is destroyed?

A map that stays the same when the model's weights are random tells of the clip, not of the model. Weights are
destroyed layer by layer, from the scores down to the clip: *cascading*, each layer on top of those before, or
*independently*, one layer at a time with all others as learned. The maps are compared with those of the model as it is.

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, sections 3.1 and 3.2. They draw weights anew; here a
layer's own weights are put in random order, each array by itself, so that their scale stays and variances remain
positive, whatever kind of layer it is. An array of equal values, such as a bias of zeros, is not changed by that.

The model itself is changed, and restored whatever happens. A copy would not do: Keras cannot copy every subclassed
model, and an explainer is built on a model and compiled for it, where this way it reads the weights as they are.
"""

from dataclasses import dataclass

import keras
import numpy as np

from tfvid.core.errors import ModelError, check_choice
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.similarity import spearman, ssim
from tfvid.network.checks import checked_clips
from tfvid.network.classifier import Classifier
from tfvid.network.tracing import LayerCall


@dataclass(frozen=True)
class SanityCheck:
    """How alike maps stay as weights are destroyed, L layers from the scores down; 1 = as before.

    Attributes:
      layers: their paths, L of them.
      spearman: float32 `(L, B)`, see `tfvid.metrics.similarity.spearman`.
      ssim: float32 `(L, B)`, see `tfvid.metrics.similarity.ssim`.
    """

    layers: tuple[str, ...]
    spearman: np.ndarray
    ssim: np.ndarray

    def rows(self) -> list[dict]:
        """One row a layer, with the means over clips: keys layer, spearman, ssim."""
        means = self.spearman.mean(axis=1).tolist(), self.ssim.mean(axis=1).tolist()
        return [dict(layer=name, spearman=r, ssim=s) for name, r, s in zip(self.layers, *means, strict=True)]


def sanity_check(model: keras.Model, clips, explain, *, order: str = "cascading", seed: int = 0) -> SanityCheck:
    """Destroys the weights of a model layer by layer and looks how its explanations change; smaller is better.

    Costs L + 1 explanations of the clips.

      >>> grad_cam = tfvid.GradCAM(model)
      >>> sanity_check(model, clips, lambda model, clips: grad_cam(clips, target).attribution).rows()

    Args:
      model: a Keras model; not to be used by another thread meanwhile. Afterwards it has its weights back, also
        after an error.
      clips: float `(B, T, H, W, C)`.
      explain: ``(model, clips) -> maps (B, T, H, W)``, of a class that stays the same: not the predicted one.
      order: "cascading" or "independent".
      seed: of the order that weights are put in; layer by layer the same for both.

    Raises:
      TfvidError: clips or maps that do not fit, NaN in a map, an order that does not exist.
      ModelError: no Keras model, or one without weights.
    """
    check_choice("order", order, ("cascading", "independent"))
    layers = weighted_layers(model, clips)
    original = checked_maps(explain(model, clips))
    learned = {path: [weight.numpy() for weight in weights] for path, weights in layers.items()}
    similar = []
    try:
        for number, (path, weights) in enumerate(layers.items()):
            _assign(weights, _shuffled(learned[path], np.random.default_rng((seed, number))))
            maps = checked_maps(explain(model, clips), original.shape)
            similar.append((spearman(original, maps), ssim(original, maps)))
            if order == "independent":
                _assign(weights, learned[path])
    finally:
        for path, weights in layers.items():
            _assign(weights, learned[path])
    return SanityCheck(tuple(layers), *(np.stack(values) for values in zip(*similar, strict=True)))


def weighted_layers(model: keras.Model, clips) -> dict[str, list]:
    """The layers of a model that have weights of their own, the last to run first: path to weights.

    A layer inside another that only runs in a loop, such as a recurrent cell, belongs to that other one; one that runs
    several times has the place of its last run.
    """
    clips, classifier = checked_clips(clips, model), Classifier(model)
    classifier.prepare(clips)
    last_run: dict[int, LayerCall] = {}
    for call in classifier.calls:
        last_run.pop(id(call.layer), None)
        last_run[id(call.layer)] = call
    layers: dict[str, list] = {}
    taken: set[int] = set()
    for call in last_run.values():  # a layer ends its run after those inside it, so what is left is its own
        weights = [w for w in call.layer.weights if "float" in w.dtype and id(w) not in taken]
        taken.update(map(id, weights))
        if weights:
            layers[call.path] = weights
    if not layers:
        raise ModelError("expected a model with weights to be destroyed, got one without any")
    return dict(reversed(layers.items()))


def _shuffled(arrays: list[np.ndarray], rng) -> list[np.ndarray]:
    return [rng.permutation(array.ravel()).reshape(array.shape) for array in arrays]


def _assign(weights, values):
    for weight, value in zip(weights, values, strict=True):
        weight.assign(value)
