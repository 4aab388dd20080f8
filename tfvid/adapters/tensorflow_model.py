"""TensorFlow's own callables: SavedModels, their signatures, TFSMLayer, `tf.Module`, `tf.function`.

They run as TensorFlow operations, not inside `tf.numpy_function`, which would block TensorFlow's only thread for
operations where there is one thread. Gradients of the inputs are TensorFlow's.
"""

from typing import Any

import keras
import tensorflow as tf

from tfvid.adapters.foreign import ForeignModel
from tfvid.core.errors import ModelError, unknown

DEFAULT_SIGNATURE = "serving_default"


class TensorFlowModel(ForeignModel):
    """A callable of TensorFlow as a Keras model, with all gradients of its inputs.

    A signature takes its inputs by name: a tensor for its only input, or a dict. A dict of one output is that output.
    Floats are cast to the float dtype that a signature expects.

    Args:
      foreign: what `tf.saved_model.load` returns, one of its signatures, a `keras.layers.TFSMLayer` or another Keras
        layer, a `tf.Module` with a ``__call__``, or a `tf.function`.
      signature: the name of a signature of a loaded SavedModel. None: its ``__call__``, or else "serving_default", or
        else its only signature.

    Attributes:
      foreign: as given.
      parts: none.

    Raises:
      ModelError: a SavedModel that has several signatures, or not this one; when called: inputs that it does not have,
        or an input of integers.
    """

    make = "a TensorFlow function or SavedModel"
    no_layers = "it is a graph without layers"

    def __init__(self, foreign, signature: str | None = None):
        super().__init__(foreign)
        # Not by Keras' __setattr__, which would track a layer's weights.
        self.__dict__["_function"] = _function(foreign, signature)
        self.__dict__["_takes_training"] = None

    def _stated_inputs(self):
        return _stated(self._function)

    def call(self, inputs, training=None):
        names = _input_names(self._function)
        outputs = self._plain(inputs) if names is None else self._function(**_by_name(inputs, names))
        if isinstance(outputs, dict) and len(outputs) == 1:
            return next(iter(outputs.values()))
        return outputs

    def _plain(self, inputs):
        """Calls a function that is no signature, with ``training=False`` if it takes that."""
        if self._takes_training is not False:
            try:
                outputs = self._function(inputs, training=False)
                self.__dict__["_takes_training"] = True
                return outputs
            except (TypeError, ValueError):  # by Python for an unknown argument, by TensorFlow for no such function
                if self._takes_training:
                    raise
        outputs = self._function(inputs)
        self.__dict__["_takes_training"] = False
        return outputs


def _function(foreign, signature: str | None) -> Any:
    """The function of a SavedModel or of another callable."""
    known = getattr(foreign, "signatures", None) or {}
    if signature is None and callable(foreign):
        return foreign
    if signature is None and (len(known) == 1 or DEFAULT_SIGNATURE in known):
        return known[DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in known else next(iter(known))]
    if signature is None or not known:
        found = f"the signatures {', '.join(known)}: choose one, tfvid.adapt(model, signature=...)" if known else "none"
        raise ModelError(f"expected something of TensorFlow that can be called, or a signature; this has {found}")
    if signature not in known:
        raise ModelError(unknown("signature", signature, known))
    return known[signature]


def _input_names(function) -> dict[str, tf.TensorSpec] | None:
    """The inputs of a signature by name; None for a function of positional arguments."""
    positional, named = getattr(function, "structured_input_signature", None) or ((), {})
    return named if named and not positional else None


def _stated(function) -> list[tf.TensorSpec]:
    """The inputs that a signature, or a function with one tensor as its argument, states; [] if it states none."""
    if isinstance(function, keras.layers.TFSMLayer):
        function = function.call_endpoint_fn
    named = _input_names(function)
    if named is not None:
        return [tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in named.items()]
    restored = getattr(function, "__call__", None)  # noqa: B004  what a loaded SavedModel calls, if it can be called
    traced = [function, *getattr(function, "concrete_functions", ()), *getattr(restored, "concrete_functions", ())]
    for one in traced:
        given = tf.nest.flatten(getattr(one, "structured_input_signature", None) or ())
        tensors = [spec for spec in given if isinstance(spec, tf.TensorSpec)]
        if len(tensors) == 1:
            return tensors
    return []


def _by_name(inputs, expected: dict[str, tf.TensorSpec]) -> dict[str, tf.Tensor]:
    """The inputs of a signature by name, in its dtypes."""
    if not isinstance(inputs, dict):
        if len(expected) > 1:
            raise ModelError(
                f"the signature has the inputs {', '.join(expected)}: say which gets the clip and what the others get, "
                f"tfvid.VideoModel(model, clip={next(iter(expected))!r}, inputs=...)"
            )
        inputs = {name: inputs for name in expected}
    if inputs.keys() != expected.keys():
        raise ModelError(f"the signature has the inputs {', '.join(expected)}, got {', '.join(map(str, inputs))}")
    return {name: _cast(name, inputs[name], spec.dtype) for name, spec in expected.items()}


def _cast(name: str, value, dtype: tf.DType) -> tf.Tensor:
    value = tf.convert_to_tensor(value)
    if value.dtype.is_floating and not dtype.is_floating:
        raise ModelError(
            f"the signature's input {name!r} is {dtype.name}, which has no gradient, and clips are floats; export a "
            "signature of float clips, or give a function of NumPy clips to a method that needs scores only"
        )
    return tf.cast(value, dtype)
