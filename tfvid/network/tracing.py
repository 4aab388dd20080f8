"""Watches the layers of a model while it is traced: which layers it calls, in what order, and their outputs.

Explainers need the output of a layer, its gradient, or the score before the softmax. A second model that ends in
``layer.output`` is impossible for nested, Sequential and subclassed models. Replacing ``layer.call`` while the model is
traced works for all of them; afterwards the layer is restored, also after an error.
"""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tfvid.network.described import inner_model
from tfvid.network.private_api import inner_layers


@dataclass(frozen=True)
class LayerCall:
    """One call of one layer.

    Attributes:
      path: the names of the layers around the layer, and its own: ``"backbone/conv"``.
      layer: the layer.
      shape: the shape of its output, None for unknown sizes; None if the output is not a single tensor.
      is_output: whether the layer's output is the model's output.
      is_new: whether no layer before it returned the same tensor. Containers return the tensor of an inner layer, and
        dropout layers return their input.
    """

    path: str
    layer: keras.Layer
    shape: Any
    is_output: bool
    is_new: bool


def named_layers(layer: keras.Layer, prefix: str = ""):
    """Yields (path, layer) for all layers inside `layer`, outer layers first."""
    for inner in inner_layers(inner_model(layer)):
        yield prefix + inner.name, inner
        yield from named_layers(inner, f"{prefix}{inner.name}/")


@contextmanager
def replaced(layer: keras.Layer, attribute: str, value):
    """Inside, `layer` has another value of an attribute, e.g. another ``call``. Restores it, also after an error."""
    had, before = attribute in vars(layer), vars(layer).get(attribute)
    vars(layer)[attribute] = value  # not by Keras' __setattr__, which tracks values
    try:
        yield
    finally:
        if had:
            vars(layer)[attribute] = before
        else:
            del vars(layer)[attribute]


@contextmanager
def computing_in(model: keras.Model, policy: str, but: list[keras.Layer]):
    """Inside, the float32 layers of `model` compute under another dtype policy, such as "mixed_bfloat16".

    Weights are cast when they are used, as in a model that is built with that policy.

    Args:
      model: a built model.
      policy: the name of the policy.
      but: layers that keep their policy.
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
def watched(layer: keras.Layer, see=None, see_input=None):
    """Inside, calls ``see_input(input)`` before and ``see(output)`` after each run of `layer`.

    The input is the first argument of the layer's ``call``.
    """
    call = layer.call

    def seen(*args, **kwargs):
        if see_input is not None:
            see_input(args[0] if args else next(iter(kwargs.values()), None))
        output = call(*args, **kwargs)
        if see is not None:
            see(output)
        return output

    with replaced(layer, "call", seen):
        yield


@dataclass(frozen=True)
class CallTensors:
    """The symbolic tensors of one call of one layer.

    Attributes:
      input: the first argument of the layer's ``call``.
      output: what it returned.
      first: the number of operations in the graph before the call.
      last: their number after it.
    """

    input: Any
    output: Any
    first: int
    last: int


@dataclass(frozen=True)
class Trace:
    """One symbolic run of a model.

    Attributes:
      calls: the layer calls in the order in which they end. A layer with several paths has the first one.
      tensors: the tensors of each of these calls.
      clips: the symbolic input of the model, `(None, T, H, W, C)`.
      output: the symbolic output of the model.
    """

    calls: list[LayerCall]
    tensors: list[CallTensors]
    clips: tf.Tensor
    output: object


def trace_calls(model: keras.Model, clip_shape: tuple, batch_size: int | None = None) -> Trace:
    """Runs `model` on symbolic clips and returns the layer calls.

    Calls inside a loop of the graph (a recurrent layer's cell) are left out: their outputs cannot be used outside the
    loop.

    Args:
      model: a built Keras model.
      clip_shape: `(T, H, W, C)`.
      batch_size: B of the symbolic clips; None leaves it open.
    """
    seen: list = []
    ends: list = []

    def run(clips):
        graph = tf.compat.v1.get_default_graph()
        with ExitStack() as stack:
            for path, layer in distinct_layers(model):
                stack.enter_context(_recorded(path, layer, graph, seen))
            ends[:] = clips, model(clips, training=False)
        seen[:] = [call for call in seen if getattr(call[2].output, "graph", graph) is graph]
        return ends[1]

    tf.function(run, autograph=False).get_concrete_function(tf.TensorSpec((batch_size, *clip_shape)))
    calls, known, result = [], set(), uncast(ends[1])
    for path, layer, tensors in seen:
        shape = tuple(tensors.output.shape) if tf.is_tensor(tensors.output) else None
        is_output, is_new = uncast(tensors.output) is result, id(tensors.output) not in known
        calls.append(LayerCall(path, layer, shape, is_output, is_new))
        known.add(id(tensors.output))
    return Trace(calls, [tensors for *_, tensors in seen], *ends)


def _recorded(path: str, layer: keras.Layer, graph: tf.Graph, seen: list):
    """Inside, each run of `layer` adds (path, layer, tensors) to `seen`."""
    started: list[tuple] = []

    def number():
        return len(graph.get_operations())

    def end(output):
        given, first = started.pop()
        seen.append((path, layer, CallTensors(given, output, first, number())))

    return watched(layer, end, lambda given: started.append((given, number())))


def distinct_layers(model: keras.Model):
    """Yields (path, layer) once for each layer inside `model`, with the first of its paths, outer layers first."""
    known = set()
    for path, layer in named_layers(model):
        if id(layer) not in known:
            known.add(id(layer))
            yield path, layer


def uncast(tensor):
    """Returns the tensor before casts and identities: the last layer of a mixed-precision model only casts."""
    while tf.is_tensor(tensor) and tensor.op.type in ("Cast", "Identity"):
        tensor = tensor.op.inputs[0]
    return tensor


def source(tensor):
    """The tensor before casts, reshapes and transposes: where a block's shortcut starts, too."""
    while tf.is_symbolic_tensor(tensor) and tensor.op.type in LAYOUT:
        tensor = tensor.op.inputs[0]
    return tensor


LAYOUT = ("Cast", "Identity", "Reshape", "Transpose", "ExpandDims", "Squeeze")
