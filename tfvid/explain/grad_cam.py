"""Grad-CAM through time: where, frame by frame, a layer's features speak for the class.

Each feature map is weighted by how much the class's logit grows with it, and the weighted sum is cut at zero:

    w[t, k] = mean over (i, j) of  d y_c / d A[t, i, j, k]          (their Eq. 2, one weight a time step)
    L[t]    = ReLU( sum over k of  w[t, k] A[t, :, :, k] )

Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 3.2; after Selvaraju et al., "Grad-CAM", ICCV 2017.
"""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfvid.classifier import chosen_class, class_score
from tfvid.compiled import Compiled
from tfvid.errors import ModelError, check_choice, unknown
from tfvid.explain.base import Attribution, Explainer
from tfvid.layers import LayerCall, named_layers, watched

# Layers that pass features on without making new ones, so that the default layer is looked for before them.
PASSING = (
    *(layers.InputLayer, layers.Rescaling, layers.Normalization),
    *(layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization, layers.UnitNormalization),
    *(layers.MaxPooling2D, layers.MaxPooling3D, layers.AveragePooling2D, layers.AveragePooling3D),
    *(layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
    *(layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D),
    *(layers.Reshape, layers.Permute, layers.ZeroPadding2D, layers.ZeroPadding3D),
)


@dataclass(frozen=True)
class GradCAMResult(Attribution):
    """Grad-CAM maps.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the logit of `target`.
      attribution: float32 `(B, T, H, W)`, the maps at the clip's resolution, >= 0, normalised as asked for.
      native: float32 `(B, T', H', W')`, the maps as the layer gives them, >= 0, not normalised.
    """

    native: np.ndarray


class GradCAM(Explainer):
    """Grad-CAM on any layer of any Keras video model.

    Without `layer`, the last layer that makes a feature map larger than 1x1 is explained: the last one to run whose
    output is `(B, T', H', W', K)`, or `(B, H', W', K)` for a layer that sees single frames, passing over
    pooling, normalisation and reshaping. That is ``Mixed_5c`` for I3D and the last ``conv_lstm_<n>`` for
    C-LSTM, as in the paper.

    Args:
      model: a Keras model, see `Explainer`.
      layer: a layer's name, or its path where it is nested, e.g. ``"backbone/conv"``; the inner name alone will do
        where it is the only one. Its output is channels-last, `(B, T', H', W', K)` or `(B, H', W', K)`. The latter
        may also be all frames of all clips in one batch, `(B T', H', W', K)`, or one call a frame, as inside
        `TimeDistributed`. Of a layer that runs several times on whole clips, the last run is explained.
      pool: "frame", a weight for each time step (the equation above), or "clip", one for all of them, the mean
        over time (as the authors' PyTorch code does).
      time: how T' steps become T frames: "nearest" repeats them, as published; "linear" interpolates.
      normalize: divide by the maximum of each "frame" or of the "clip", so that maps lie in [0, 1]; None leaves
        them as they are. A map of zeros stays zero. "clip" keeps frames comparable with one another.
      output: see `Explainer`.
      batch_size: see `Explainer`.

    Attributes:
      layer: path of the layer explained, from the first call on where it was left open.

    Example:
      >>> result = GradCAM(model, layer="Mixed_5c")(clips)
      >>> result.attribution.shape
      (2, 16, 224, 224)
    """

    def __init__(
        self,
        model,
        layer: str | None = None,
        *,
        pool: str = "frame",
        time: str = "nearest",
        normalize: str | None = "clip",
        output: str = "auto",
        batch_size: int = 8,
    ):
        super().__init__(model, output=output, batch_size=batch_size)
        check_choice("pool", pool, ("frame", "clip"))
        check_choice("time", time, ("nearest", "linear"))
        check_choice("normalize", normalize, ("frame", "clip", None))
        self.layer = layer
        self.pool = pool
        self.time = time
        self.normalize = normalize
        self._watched: keras.Layer | None = None
        self._compiled = Compiled(self._maps)

    def _explain(self, clips, target):
        return GradCAMResult(**{name: x.numpy() for name, x in self._compiled(clips, target).items()})

    def _maps(self, clips, target) -> dict[str, tf.Tensor]:
        """The equation, and its maps at the clips' resolution; traced once."""
        if self._watched is None:
            self.layer, self._watched = find_layer(self.classifier.model, self.classifier.calls, self.layer)
        features = []
        with tf.GradientTape(watch_accessed_variables=False) as tape:

            def see(output):
                tape.watch(output)
                features.append(output)

            with watched(self._watched, see):
                logits = self.classifier.logits(clips)
            predicted, target = chosen_class(logits, target)
            score = class_score(logits, target)
        self._check_reachable(features)
        if features[-1].shape.rank == 5:
            features = features[-1:]
        gradients = tape.gradient(score, features)
        if None in gradients:
            raise ModelError(f"layer {self.layer!r} does not lead to the class scores")

        num_clips = tf.shape(clips)[0]
        A = _per_step(features, num_clips)
        w = tf.reduce_mean(_per_step(gradients, num_clips), axis=(2, 3), keepdims=True)
        if self.pool == "clip":
            w = tf.reduce_mean(w, axis=1, keepdims=True)
        native = tf.nn.relu(tf.reduce_sum(w * A, axis=-1))
        return {
            "target": target,
            "predicted": predicted,
            "score": score,
            "attribution": normalized(resized(native, clips.shape[1:4], self.time), self.normalize),
            "native": native,
        }

    def _check_reachable(self, features):
        graph = tf.compat.v1.get_default_graph()
        if not features or any(getattr(output, "graph", None) is not graph for output in features):
            raise ModelError(f"layer {self.layer!r} did not run, or runs inside a loop")


def resized(maps: tf.Tensor, shape: tuple, time: str = "nearest") -> tf.Tensor:
    """Maps `(B, T', H', W')` at another resolution, `(B, *shape)`, shape = (T, H, W).

    Bilinear in space; in time "nearest" (each step repeated) or "linear".
    """
    steps, rows, columns = tf.unstack(tf.shape(maps)[1:])  # T' is not always known when this is traced
    num_frames, height, width = shape
    maps = tf.reshape(maps, (-1, rows, columns, 1))
    maps = tf.image.resize(maps, (height, width), "bilinear")
    maps = tf.reshape(maps, (-1, steps, height * width, 1))
    method = {"nearest": "nearest", "linear": "bilinear"}[time]
    maps = tf.image.resize(maps, (num_frames, height * width), method)  # the pixels keep their places
    return tf.reshape(maps, (-1, num_frames, height, width))


def normalized(maps: tf.Tensor, by: str | None) -> tf.Tensor:
    """Maps `(B, T, H, W)`, >= 0, over the maximum of each "frame" or "clip"; a map of zeros stays zero."""
    if by is None:
        return maps
    axes = {"frame": (2, 3), "clip": (1, 2, 3)}[by]
    return tf.math.divide_no_nan(maps, tf.reduce_max(maps, axis=axes, keepdims=True))


def _per_step(outputs: list[tf.Tensor], num_clips) -> tf.Tensor:
    """What a layer returned, in one or several calls, as float32 `(B, T', H', W', K)`."""
    outputs = [tf.cast(output, tf.float32) for output in outputs]
    if outputs[0].shape.rank == 5:
        return outputs[0]
    if len(outputs) > 1:  # one call a frame
        return tf.stack(outputs, axis=1)
    return tf.reshape(outputs[0], (num_clips, -1, *outputs[0].shape[1:]))


def find_layer(model: keras.Model, calls: list[LayerCall], name: str | None) -> tuple[str, keras.Layer]:
    """The layer called `name`, by path or by its own name, or the default one for None; see `GradCAM`.

    Args:
      model: the model.
      calls: its layer calls, in order.
      name: path, name or None.

    Returns:
      The layer's path and the layer.

    Raises:
      ModelError: no such layer, several of that name, or one without a feature map; lists the layers that fit.
    """
    if name is None:
        for call in reversed(calls):
            if _fits(call) and call.is_new and not _passes(call.layer) and max(call.shape[-3:-1]) > 1:
                return call.path, call.layer
        raise ModelError("the model has no layer that makes a feature map over space; expected one of (B, T, H, W, K)")

    by_path = dict(named_layers(model))
    paths = [name] if name in by_path else [path for path in by_path if path.rpartition("/")[2] == name]
    if len(paths) > 1:
        raise ModelError(f"layer {name!r}: several of that name, say which: {', '.join(paths)}")
    if not paths:
        raise ModelError(unknown("layer", name, _fitting(calls)))
    shapes = [call.shape for call in calls if call.layer is by_path[paths[0]]]
    if not any(_fits(call) for call in calls if call.layer is by_path[paths[0]]):
        raise ModelError(
            f"layer {name!r} returns {shapes[-1] if shapes else 'nothing in this model'}, "
            f"expected (B, T, H, W, K) or (B, H, W, K); those that fit: {', '.join(_fitting(calls))}"
        )
    return paths[0], by_path[paths[0]]


def _fits(call: LayerCall) -> bool:
    return call.shape is not None and len(call.shape) in (4, 5) and None not in call.shape[-3:]


def _fitting(calls: list[LayerCall]) -> list[str]:
    return list(dict.fromkeys(call.path for call in calls if _fits(call)))


def _passes(layer) -> bool:
    if isinstance(layer, layers.TimeDistributed):
        return _passes(layer.layer)
    return isinstance(layer, PASSING)
