"""The private parts of Keras and TensorFlow that tfvid uses, each behind one function. Nothing else imports them.

There is no public way to do what these functions do. Each function imports what it needs when it is called, so a
release that moves one part breaks one feature only. `tests/network/test_private_api.py` names that feature.
"""

import keras
import tensorflow as tf


def inner_layers(layer: keras.Layer) -> list[keras.Layer]:
    """Returns the layers directly inside `layer`, not those inside these.

    The public ``model.layers`` exists for models only. Other layers hold layers, too: `keras.layers.TimeDistributed`,
    a user's own block.
    """
    return list(layer._flatten_layers(include_self=False, recursive=False))


def running_order(model: keras.Model) -> list:
    """Returns the nodes of a functional model in the order in which they run; an empty list for other models.

    A node is one use of an operation; ``node.operation`` is the layer or the ``keras.ops`` operation.
    """
    by_depth = getattr(model, "_nodes_by_depth", {})
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def creation_order(layer: keras.Layer) -> list:
    """Returns the nodes of `layer` in the order in which the user's code called the layer, see `running_order`."""
    return list(layer._inbound_nodes)


def captured_tensors(graph: tf.Graph) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Returns the tensors that a function's graph captures: pairs (outside, inside the graph)."""
    return list(graph.captures)


def used_variables(functions) -> list[tf.Variable]:
    """Returns the variables that concrete functions use, each once.

    `tf.saved_model.save` stores only variables that an attribute of the saved module refers to.
    """
    return list({id(variable): variable for function in functions for variable in function.graph.variables}.values())


def uninlined(function):
    """Returns `function` as a `tf.function` that stays a function of its own inside other graphs.

    TensorFlow copies a function into the graph that calls it. Inside the step of a `tf.while_loop`, the gradients of
    max-pools then run the plain CPU kernel, not oneDNN's.
    """
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


def uses_onednn() -> bool | None:
    """Returns whether the loaded TensorFlow uses oneDNN; None if TensorFlow does not report it."""
    try:
        from tensorflow.python.util import _pywrap_util_port
    except ImportError:
        return None
    return bool(_pywrap_util_port.IsMklEnabled())


def tensorflow_generator() -> tf.random.Generator | None:
    """Returns TensorFlow's global generator, or None; the public `tf.random.get_global_generator` creates one."""
    from tensorflow.python.ops import stateful_random_ops

    return stateful_random_ops.global_generator


def keras_generator():
    """Returns the global seed generator of Keras, or None; there is no public function."""
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

    return global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)


def set_keras_generator(generator):
    """Sets the global seed generator of Keras to what `keras_generator` returned."""
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)


def operation_seeds() -> tuple:
    """Returns (seed, source): the seed of `tf.random.set_seed`, and the `random.Random` that draws operation seeds.

    The source is None before the first call of `tf.random.set_seed`.
    """
    from tensorflow.python.eager import context

    return context.context()._seed, getattr(context.context(), "_rng", None)


def set_operation_seeds(seed, source):
    """Sets what `operation_seeds` returns. A source of None leaves the current one."""
    from tensorflow.python.eager import context

    context.context()._seed = seed
    if source is not None:
        context.context()._rng = source


def gradient_of_operation(operation: tf.Operation, gradients: list) -> list:
    """Returns the gradients of an operation's inputs from those of its outputs; None for inputs without one.

    `tf.gradients` searches the whole graph each time.
    """
    from tensorflow.python.framework import ops

    found = ops.get_gradient_function(operation)(operation, *gradients)
    found = found if isinstance(found, (list, tuple)) else [found]
    return [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in found]
