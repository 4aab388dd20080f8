"""The uses of a layer: how often a model runs a layer on whole clips, and which calls make up each use.

A backbone that two streams share has two uses. A layer inside `TimeDistributed` has one use of several calls, one call
for each frame.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfvid.core.errors import ModelError, TfvidError
from tfvid.network.feature_map import FeatureCall
from tfvid.network.private_api import creation_order, running_order
from tfvid.network.tracing import named_layers, trace_calls, watched


def find_uses(model: keras.Model, calls: list[FeatureCall], layer: keras.Layer, clip_shape: tuple) -> list[list[int]]:
    """Returns the uses of a layer on whole clips.

    Args:
      model: the model.
      calls: the model's layer calls, in order, from `trace_features`.
      layer: the layer.
      clip_shape: `(T, H, W, C)`.

    Returns:
      For each use, the numbers of the layer's calls that it consists of: one call for all frames, or one call for each
      frame. The uses of a functional model are in the order in which its code creates them, which may differ from the
      order in which they run. Uses of other models, and uses in several `TimeDistributed` layers, are in the order in
      which they run.

    Raises:
      ModelError: calls on single frames of which it is not known which frame each belongs to.
    """
    uses, waiting, count = [], [], 0
    for call in calls:
        if call.layer is layer:
            if _has_all_frames(call):
                uses.append([count])
            else:
                waiting.append(count)
            count += 1
        elif waiting and isinstance(call.layer, layers.TimeDistributed) and _is_inside(layer, call.layer):
            uses += _uses_per_frame(waiting, call, layer)
            waiting = []
    if len(waiting) == 1:
        uses.append(waiting)
    elif waiting:
        uses += _uses_in_own_loop(model, layer, waiting, count, clip_shape)
    return _as_created(model, layer, uses)


def _has_all_frames(call: FeatureCall) -> bool:
    return len(call.shape or ()) == 5 or any(found and found.has_time for found in (call.output, call.input))


def _uses_per_frame(numbers: list[int], wrapper: FeatureCall, layer: keras.Layer) -> list[list[int]]:
    """The uses that the layer's calls `numbers` make up in one call of a `TimeDistributed` layer, `wrapper`."""
    steps = wrapper.shape[1]
    if not steps or len(numbers) % steps:
        raise ModelError(
            f"{len(numbers)} calls of layer {layer.name!r} in {wrapper.path!r}, expected one for each frame"
        )
    each = len(numbers) // steps
    return [numbers[use::each] for use in range(each)]


def _uses_in_own_loop(model, layer, numbers: list[int], count: int, clip_shape: tuple) -> list[list[int]]:
    """The uses that calls outside `TimeDistributed` make up: each call has all frames in its batch, or a single frame.

    Args:
      model: the model.
      layer: the layer.
      numbers: those of these calls, among the layer's calls.
      count: of all calls of the layer.
      clip_shape: `(T, H, W, C)`.
    """
    of_one_clip = [call.shape for call in trace_calls(model, clip_shape, 1).calls if call.layer is layer]
    if all(shape[0] is not None and shape[0] > 1 for shape in of_one_clip):
        return [[number] for number in numbers]
    frames = clip_shape[0]
    if len(numbers) > frames or not _are_in_order(frames_seen(model, layer, count, clip_shape)[numbers]):
        raise ModelError(
            f"layer {layer.name!r} is called {len(numbers)} times on single frames of a clip of {frames}; expected one "
            "call for each frame in the order of time, or for frames at equal distances: use TimeDistributed in the "
            "model, or explain another layer, layer=..."
        )
    return [numbers]


def frames_seen(model: keras.Model, layer: keras.Layer, count: int, clip_shape: tuple) -> np.ndarray:
    """Returns which frames each call of a layer depends on: bool `(count, T)`, by the gradient of random clips.

    Args:
      model: the model.
      layer: the layer.
      count: of the layer's calls.
      clip_shape: `(T, H, W, C)`.
    """
    clip = tf.random.stateless_uniform((1, *clip_shape), (0, 0))
    outputs: list[tf.Tensor] = []
    with tf.GradientTape(persistent=True) as tape, watched(layer, outputs.append):
        tape.watch(clip)
        model(clip, training=False)
        sums = [tf.reduce_sum(tf.square(output)) for output in outputs[:count]]
    gradients = [tape.gradient(one, clip, unconnected_gradients="zero") for one in sums]
    return tf.reduce_any(tf.not_equal(tf.concat(gradients, axis=0), 0), axis=(2, 3, 4)).numpy()


def _are_in_order(seen: np.ndarray) -> bool:
    """Whether calls, which depend on the frames `seen` `(N, T)`, can be the N steps of one use, in the order of time.

    Step n of N stands for the frames [n T / N, (n + 1) T / N) in a map at the clip's resolution, and must depend on one
    of them at least. A call that depends on no frame (all its units are off) counts as in order.
    """
    steps, frames = seen.shape
    stands_for = np.arange(frames) * steps // frames == np.arange(steps)[:, np.newaxis]
    return bool(np.all((seen & stands_for).any(axis=1) | ~seen.any(axis=1)))


def _as_created(model: keras.Model, layer: keras.Layer, uses: list[list[int]]) -> list[list[int]]:
    """The uses of a functional model in the order of its code, where they all belong to one of its layers."""
    parts = [(node, node.operation) for node in running_order(model) if isinstance(node.operation, keras.Layer)]
    parts = [(node, part) for node, part in parts if part is layer or _is_inside(layer, part)]
    if len({id(part) for _, part in parts}) != 1 or len(uses) % len(parts):
        return uses
    created, each = creation_order(parts[0][1]), len(uses) // len(parts)
    order = sorted(range(len(parts)), key=lambda place: created.index(parts[place][0]))
    return [use for place in order for use in uses[place * each : (place + 1) * each]]


def _is_inside(layer: keras.Layer, outer: keras.Layer) -> bool:
    return any(inner is layer for _, inner in named_layers(outer))


def chosen_uses(uses: list[list[int]], call: int | str, path: str) -> list[list[int]]:
    """Returns all of a layer's `uses` for "sum", or the one with the number `call`.

    Raises:
      TfvidError: there is no use with that number.
    """
    if call == "sum":
        return uses
    if isinstance(call, bool) or not isinstance(call, int | np.integer) or not 0 <= call < len(uses):
        numbers = "0" if len(uses) == 1 else f"0 to {len(uses) - 1}"
        raise TfvidError(f"call: layer {path!r} runs {len(uses)} times; expected 'sum' or {numbers}, got {call!r}")
    return [uses[call]]
