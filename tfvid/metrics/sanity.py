"""Sanity checks: how much an explanation changes when the model's weights are randomized.

A map that stays the same with random weights depends on the clip, not on the model. Weights are randomized layer by
layer, from the scores down to the clip: *cascading*, each layer together with the layers above, or *independently*, one
layer at a time. The maps are compared with those of the original model.

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, sections 3.1 and 3.2. The paper draws new weights.
Here, each array of weights is shuffled, so that its scale stays and variances stay positive, for all kinds of layers.
An array of equal values, such as a bias of zeros, does not change.

The check changes the model itself and restores it, also after an error. Keras cannot copy all subclassed models, and an
explainer is compiled for one model, whose weights it reads at each call.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np

from tfvid.adapters.makes import classifier_of
from tfvid.core.errors import ModelError, check_choice
from tfvid.metrics.checks import checked_maps
from tfvid.metrics.similarity import spearman, ssim
from tfvid.network.tracing import LayerCall


@dataclass(frozen=True)
class SanityCheck:
    """The similarity of maps before and after L layers are randomized, from the scores down; 1 is equal.

    Attributes:
      layers: the paths of the L layers.
      spearman: float32 `(L, B)`, see `tfvid.metrics.similarity.spearman`.
      ssim: float32 `(L, B)`, see `tfvid.metrics.similarity.ssim`.
    """

    layers: tuple[str, ...]
    spearman: np.ndarray
    ssim: np.ndarray

    def rows(self) -> list[dict]:
        """Returns one row for each layer, with the means over clips: keys layer, spearman, ssim."""
        means = self.spearman.mean(axis=1).tolist(), self.ssim.mean(axis=1).tolist()
        return [dict(layer=name, spearman=r, ssim=s) for name, r, s in zip(self.layers, *means, strict=True)]


def sanity_check(model: keras.Model, clips, explain, *, order: str = "cascading", seed: int = 0) -> SanityCheck:
    """Randomizes the weights of a model layer by layer and compares its explanations; smaller is better.

    It needs L + 1 explanations of the clips.

      >>> grad_cam = tfvid.GradCAM(model)
      >>> sanity_check(model, clips, lambda model, clips: grad_cam(clips, target).attribution).rows()

    Args:
      model: a Keras model. No other thread may use it meanwhile. Afterwards it has its weights back, also after an
        error.
      clips: float `(B, T, H, W, C)`.
      explain: a function ``(model, clips) -> maps (B, T, H, W)`` of a fixed class, not of the predicted one.
      order: "cascading" or "independent".
      seed: of the random order of weights; a layer has the same one in both orders.

    Raises:
      TfvidError: clips or maps that do not fit, NaN in a map, or an unknown order.
      ModelError: not a Keras model, or a model without weights.
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


@contextmanager
def randomized(model: keras.Model, clips, seed: int = 0) -> Iterator[None]:
    """The block sees the model with all weights shuffled, as after the last step of a cascade.

    Args:
      model: a Keras model; it has its weights back afterwards, also after an error.
      clips: float `(B, T, H, W, C)`, to find the layers.
      seed: of the random order of weights.

    Raises:
      ModelError: not a Keras model, or a model without weights.
    """
    layers = weighted_layers(model, clips)
    learned = {path: [weight.numpy() for weight in weights] for path, weights in layers.items()}
    try:
        for number, (path, weights) in enumerate(layers.items()):
            _assign(weights, _shuffled(learned[path], np.random.default_rng((seed, number))))
        yield
    finally:
        for path, weights in layers.items():
            _assign(weights, learned[path])


def weighted_layers(model: keras.Model, clips) -> dict[str, list]:
    """Returns the layers of a model that have weights of their own, by path, the last layer to run first.

    A layer that only runs in a loop inside another layer, such as a recurrent cell, belongs to the other layer. A layer
    that runs several times has the place of its last run.
    """
    classifier = classifier_of(model)
    clips = classifier.checked(clips)
    classifier.prepare(clips)
    last_run: dict[int, LayerCall] = {}
    for call in classifier.calls:
        last_run.pop(id(call.layer), None)
        last_run[id(call.layer)] = call
    layers: dict[str, list] = {}
    taken: set[int] = set()
    for call in last_run.values():  # inner layers end first, so the remaining weights are the layer's own
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
