"""Saliency Tubes: the contribution of each place of the last features to the logit, by the last layer's weights.

After a global average pool and one linear layer, a class's logit is a sum over places,

    y_c = mean over (t, i, j) of  L[t, i, j]  + bias,        L[t, i, j] = sum over k of  W[k, c] A[t, i, j, k]

so L is exact: the score of each place, signed. ReLU(L) is Grad-CAM's map times the number of places.

Stergiou et al., "Saliency Tubes: Visual Explanations for Spatio-Temporal Convolutions", ICIP 2019, section 3; in images
Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016.
"""

from contextlib import ExitStack
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, TfvidError
from tfvid.explain.cam.cam import CAM, Run
from tfvid.explain.cam.features import laid_out
from tfvid.explain.cam.find_layer import Chosen, find_layer
from tfvid.network.classifier import Classifier
from tfvid.network.feature_map import FeatureCall, FeatureTrace
from tfvid.network.tracing import LayerCall, watched


class SaliencyTubes(CAM):
    """Saliency Tubes on a model that ends in a global average pool and one linear layer. The score is the logit.

    That is I3D, R(2+1)D, and any model whose logits are a linear function (a Dense layer, or a convolution of size 1)
    of a layer's mean over time and space; dropout may be in between. It needs one forward pass.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`. It stays unchanged.
      layer: the layer whose features are pooled, by path or name; None finds it.
      at: "output"; the input of a layer is refused.
      call: which use of a layer that the model uses several times on whole clips, e.g. a backbone that two streams
        share: "sum", all of them, as one layer with all their feature maps; or the number of a use, from 0, in the
        order of a functional model's code, in other models in the order in which they run.
      tokens: (T', h', w'), how the layer's tokens lie on the clip, class tokens first, where the model does not say it.
      time: how T' steps become T frames: "nearest" repeats steps, as published; "linear" interpolates.
      normalize: "frame" or "clip" divides maps by the largest absolute value of each frame or clip, so that they lie in
        [0, 1], or in [-1, 1] if signed. "frame_range" and "clip_range" subtract the minimum first, so that maps lie in
        [0, 1]. None leaves maps unchanged. A map of zeros stays zero. Maps are signed.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255); clips in [0, 1] are
        scaled to them. None: the model gets clips unchanged. "auto": the range that was declared (`tfvid.declare`, a
        model card), or else the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      ModelError: when called, if the model ends in another way (a C-LSTM); use Grad-CAM or LayerCAM.

    Example:
      >>> SaliencyTubes(model, normalize=None)(clips).native.mean(axis=(1, 2, 3))  # the logits without the bias
      array([5.71, 3.02], dtype=float32)
    """

    def _find_layer(self, clips, trace):
        if self.at != "output":
            raise TfvidError(f"Saliency Tubes explain the output of a layer, expected at='output', got {self.at!r}")
        self._head = find_head(self.classifier)
        return find_pooled(self.classifier, trace, clips, self._head, self.layer)

    def _native(self, run: Run):
        w = tf.gather(class_weights(self._head.layer), run.target, axis=1)  # (K, B)
        found = self._of_shape[tuple(run.clips.shape[1:])]
        w = tf.tile(w, (len(found.uses), 1)) / found.count  # the model pools the mean over all uses of the layer
        return tf.einsum("bthwk,kb->bthw", run.A, w)


def class_weights(head: keras.Layer) -> tf.Tensor:
    """Returns the weights W, float32 `(K, classes)`, of a Dense layer or a convolution of size 1."""
    return both_classes(tf.cast(tf.reshape(head.kernel, head.kernel.shape[-2:]), tf.float32))


def both_classes(of_unit: tf.Tensor) -> tf.Tensor:
    """Returns values of units as `(..., classes)`: one unit has the value of class 1, and class 0 its negative."""
    return tf.concat([-of_unit, of_unit], axis=-1) if of_unit.shape[-1] == 1 else of_unit


def find_head(classifier: Classifier) -> LayerCall:
    """Returns the linear layer that a model ends in.

    Raises:
      ModelError: there is no Dense layer and no convolution of size 1 to the classes.
    """
    for call in reversed(classifier.calls):
        if _is_linear(call.layer, classifier.num_units):
            return call
    raise _refused(f"the model ends in layer {classifier.calls[-1].path!r}, without a linear layer to the classes")


def find_pooled(
    classifier: Classifier, trace: FeatureTrace, clips: tf.Tensor, head: LayerCall, name: str | None
) -> Chosen:
    """Returns the layer whose mean over time and space is the input of `head`.

    It is found by a run on one clip, since pooling, dropout and reshaping may be layers or lines of a subclassed
    ``call``. Of several layers, it is the one with the most places (pooling in steps has coarser ones in between), and
    of these the last one.

    Args:
      classifier: a `Classifier`, prepared.
      trace: the model's layer calls, from `trace_features`.
      clips: float32 `(B, T, H, W, C)`.
      head: the last linear layer.
      name: the name of the layer; None for all layers.

    Raises:
      ModelError: there is no such layer.
    """
    W, bias = class_weights(head.layer), getattr(head.layer, "bias", None)
    bias = 0.0 if bias is None else both_classes(tf.cast(bias, tf.float32))
    named = None if name is None else find_layer(classifier.model, trace, name).path
    layers = {
        call.path: call.layer
        for call in trace.calls
        if (call.is_new if named is None else call.path == named) and _could_be_pooled(call, trace.calls, W.shape[0])
    }

    maps = {path: [call.output for call in trace.calls if call.layer is layer] for path, layer in layers.items()}

    def from_means(clips):
        outputs = {path: [] for path in layers}
        with ExitStack() as stack:
            for path, layer in layers.items():
                stack.enter_context(watched(layer, outputs[path].append))
            logits = classifier.logits(clips)
        features = {path: laid_out(seen, maps[path], 1) for path, seen in outputs.items()}
        places = {path: tf.size(A[..., 0]) for path, A in features.items()}
        linear = {path: tf.reduce_mean(A, (1, 2, 3)) @ W + bias for path, A in features.items()}
        return logits, linear, places

    logits, linear, places = tf.function(partial(from_means), autograph=False)(clips[:1])

    if not np.isfinite(logits).all():
        raise ModelError("the model's scores of the first clip are NaN or infinite")

    def fits(path):
        tolerance = 1e-4 if layers[path].compute_dtype in ("float32", "float64") else 2e-2
        return np.max(np.abs(linear[path] - logits)) <= tolerance * np.max(np.abs(logits))

    pooled = [path for path in reversed(layers) if fits(path)]
    if pooled:
        path = max(pooled, key=lambda path: int(places[path]))
        return Chosen(path, layers[path], "output", "the scores are a linear function of its mean")
    which = "a layer's features" if name is None else f"the features of layer {name!r}"
    raise _refused(f"layer {head.path!r} is not given the mean over time and space of {which}")


def _could_be_pooled(call: FeatureCall, calls: list[FeatureCall], channels: int) -> bool:
    """Whether the layer makes features with `channels` channels, of the same shape in all its calls."""
    maps = [other.output for other in calls if other.layer is call.layer]
    known = [found for found in maps if found is not None]
    return len(known) == len(maps) and {(found.size, found.grid) for found in known} == {(channels, known[0].grid)}


def _is_linear(layer, num_units: int) -> bool:
    kernel = getattr(layer, "kernel", None)
    return kernel is not None and kernel.shape[-1] == num_units and set(kernel.shape[:-2]) <= {1}


def _refused(why: str) -> ModelError:
    return ModelError(
        f"{why}; Saliency Tubes need a model that ends in global average pooling and one linear layer: "
        "use 'grad_cam' or 'layer_cam' instead"
    )
