"""Looking inside a model while it runs: which layers it calls, in what order, and what they return.

Explanations need a layer's output, its gradient, or the score before the softmax. Building a second model on
``layer.output`` fails for nested, Sequential and subclassed models; standing in for the layer's own ``call``
while the model is traced works for all of them, and is undone whatever happens.
"""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import keras
import tensorflow as tf

from tfvid.network.private_api import inner_layers


@dataclass(frozen=True)
class LayerCall:
    """One call of one layer.

    Attributes:
      path: the layer's name, after those of the layers it is nested in: ``"backbone/conv"``.
      layer: the layer.
      shape: its output's shape, None where not known; None if the output is no single tensor.
      is_output: the layer's output is the model's output.
      is_new: no layer before it returned the same tensor, as those inside a container or before a dropout do.
    """

    path: str
    layer: keras.Layer
    shape: tuple | None
    is_output: bool
    is_new: bool


def named_layers(layer: keras.Layer, prefix: str = ""):
    """Yields (path, layer) for every layer inside `layer`, parents first."""
    for inner in inner_layers(layer):
        yield prefix + inner.name, inner
        yield from named_layers(inner, f"{prefix}{inner.name}/")


@contextmanager
def replaced(layer: keras.Layer, attribute: str, value):
    """Gives `layer` another attribute, e.g. another ``call``, for a while; then it is as it was, whatever happens."""
    had, before = attribute in vars(layer), vars(layer).get(attribute)
    vars(layer)[attribute] = value  # past Keras' own __setattr__, which tracks what it is given
    try:
        yield
    finally:
        if had:
            vars(layer)[attribute] = before
        else:
            del vars(layer)[attribute]


@contextmanager
def computing_in(model: keras.Model, policy: str, but: list[keras.Layer]):
    """While `model` is called in here, its float32 layers compute under a dtype policy like "mixed_bfloat16".

    Their weights are cast when they are used, as Keras does for a model built with that policy.

    Args:
      model: a built model.
      policy: the policy's name.
      but: layers that stay as they are.
    """
    changed = [
        layer
        for _, layer in named_layers(model)
        if layer.dtype_policy.name == "float32" and not any(layer is other for other in but)
    ]
    before = [layer.dtype_policy for layer in changed]
    try:
        for layer in changed:
            layer.dtype_policy = policy
        yield
    finally:
        for layer, own in zip(changed, before, strict=True):
            layer.dtype_policy = own


@contextmanager
def watched(layer: keras.Layer, see):
    """Calls ``see(output)`` each time `layer` runs."""
    call = layer.call

    def seen(*args, **kwargs):
        output = call(*args, **kwargs)
        see(output)
        return output

    with replaced(layer, "call", seen):
        yield


@dataclass(frozen=True)
class Trace:
    """One run of a model, traced; nothing was computed.

    Attributes:
      calls: the layer calls in the order in which they end. A layer that is found at several paths has the first one.
      clips: what the model was given, symbolic, `(None, T, H, W, C)`.
      output: what it returned, symbolic.
    """

    calls: list[LayerCall]
    clips: tf.Tensor
    output: object


def trace_calls(model: keras.Model, clip_shape: tuple, batch_size: int | None = None) -> Trace:
    """Runs `model` on symbolic clips and sees which layers it calls.

    Calls inside a loop of the model's graph (a recurrent layer's cell) are left out: their outputs cannot be
    reached from outside the loop.

    Args:
      model: a built Keras model.
      clip_shape: `(T, H, W, C)`.
      batch_size: of the symbolic clips; None leaves it open.
    """
    seen, ends = [], []

    def run(clips):
        graph = tf.compat.v1.get_default_graph()
        with ExitStack() as stack:
            for path, layer in distinct_layers(model):
                stack.enter_context(
                    watched(layer, lambda output, path=path, layer=layer: seen.append((path, layer, output)))
                )
            ends[:] = clips, model(clips, training=False)
        seen[:] = [call for call in seen if getattr(call[2], "graph", graph) is graph]
        return ends[1]

    tf.function(run, autograph=False).get_concrete_function(tf.TensorSpec((batch_size, *clip_shape)))
    calls, known, result = [], set(), _uncast(ends[1])
    for path, layer, output in seen:
        shape = tuple(output.shape) if tf.is_tensor(output) else None
        calls.append(LayerCall(path, layer, shape, _uncast(output) is result, id(output) not in known))
        known.add(id(output))
    return Trace(calls, *ends)


def distinct_layers(model: keras.Model):
    """Yields (path, layer) once for every layer inside `model`, with the first of its paths, parents first."""
    known = set()
    for path, layer in named_layers(model):
        if id(layer) not in known:
            known.add(id(layer))
            yield path, layer


def _uncast(tensor):
    """What a symbolic tensor was before it was cast or passed on: a mixed-precision model ends in a float32 layer."""
    while tf.is_tensor(tensor) and tensor.op.type in ("Cast", "Identity"):
        tensor = tensor.op.inputs[0]
    return tensor
