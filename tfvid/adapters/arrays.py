"""The base of adapters of models that compute outside TensorFlow, on arrays.

Such a model runs inside `tf.numpy_function`, in eager code, in a `tf.function` and in a `tf.while_loop`. TensorFlow has
to know the shapes of the outputs before it runs it, so the model runs once on zeros for each shape of inputs.
"""

from abc import abstractmethod
from typing import Any

import numpy as np
import tensorflow as tf

from tfvid.adapters.foreign import ForeignModel
from tfvid.core.errors import ModelError
from tfvid.network.python_calls import noting

# Batch sizes to try on zeros: models that have the frames in their batch expect a multiple of the number of frames.
PROBES = (1, 8, 16, 32, 60, 100)


class ArrayModel(ForeignModel):
    """The base of adapters of models that compute on arrays."""

    def __init__(self, foreign, parts=None):
        super().__init__(foreign, parts)
        self.__dict__["_probed"] = {}

    def call(self, inputs, training=None):
        flat = [tf.convert_to_tensor(one) for one in tf.nest.flatten(inputs)]
        return self._run(tf.nest.pack_sequence_as(inputs, flat), flat, self._known(inputs, flat))

    def _run(self, inputs, flat: list[tf.Tensor], known) -> Any:
        """Returns the model's outputs.

        Args:
          inputs: the tensors, in the structure that the model takes.
          flat: the same, as a list.
          known: from `_probe`.
        """
        outputs = array_function(
            lambda *arrays: tf.nest.flatten(self._compute(tf.nest.pack_sequence_as(inputs, arrays))),
            flat,
            tf.nest.flatten(known),
            self._gradient,
        )
        return tf.nest.pack_sequence_as(known, outputs)

    @abstractmethod
    def _compute(self, inputs) -> Any:
        """Returns the outputs, arrays, of inputs that are arrays: a nested structure in, one out."""

    def _probe(self, inputs) -> Any:
        """Runs the model on zeros and returns what is known then: here, a `tf.TensorSpec` for each output."""
        return tf.nest.map_structure(spec_of, self._compute(inputs))

    def _gradient(self, *tensors):
        """Returns the gradients of the inputs, from inputs and upstream gradients; here, an error."""
        raise ModelError(
            f"{self.make} gives scores, no gradients; use a method that needs scores only, e.g. 'occlusion', 'rise', "
            "'kernel_shap', or the temporal mask with method='search'"
        )

    def named(self, inputs, names: list[str]) -> dict[str, Any]:
        """Returns the inputs by name, in the order of `names`: of a dict, or of the only input."""
        if not isinstance(inputs, dict) and len(names) == 1:
            return {names[0]: inputs}
        if not isinstance(inputs, dict) or inputs.keys() != set(names):
            got = ", ".join(map(str, inputs)) if isinstance(inputs, dict) else "one without a name"
            raise ModelError(
                f"{self.make} with the inputs {', '.join(names)} got {got}; see tfvid.VideoModel(inputs=...)"
            )
        return {name: inputs[name] for name in names}

    def _known(self, inputs, flat: list[tf.Tensor]):
        """`_probe` of inputs of these shapes, once."""
        shapes = [tuple(one.shape)[1:] for one in flat]
        if any(one.shape.rank is None or None in one.shape[1:] for one in flat):
            raise ModelError(f"{self.make} needs inputs of known sizes but for the batch, got {shapes}")
        key = (str(tf.nest.map_structure(lambda _: 0, inputs)), *shapes, *(one.dtype for one in flat))
        if key not in self._probed:
            self._probed[key] = self._first_probe(inputs, flat, shapes)
        return self._probed[key]

    def _first_probe(self, inputs, flat, shapes):
        first: Exception | None = None
        for batch in PROBES:
            zeros = [
                np.zeros((batch, *shape), one.dtype.as_numpy_dtype) for one, shape in zip(flat, shapes, strict=True)
            ]
            try:
                return self._probe(tf.nest.pack_sequence_as(inputs, zeros))
            except Exception as error:  # a foreign model may raise anything
                first = first or error
        raise first or AssertionError


def spec_of(array, dtype=None) -> tf.TensorSpec:
    """Returns the shape, for any batch size, and the dtype of an output."""
    return tf.TensorSpec((None, *array.shape[1:]) if len(array.shape) else (), dtype or array.dtype)


def array_function(function, inputs: list[tf.Tensor], outputs: list[tf.TensorSpec], gradient) -> list[tf.Tensor]:
    """Returns what a function of arrays returns, as tensors with a gradient of first order.

    Args:
      function: from one array for each input to one for each output.
      inputs: tensors.
      outputs: the shape and dtype of each output.
      gradient: from the inputs and the upstream gradient of each output, tensors, to the gradient of each input, None
        for an input that has none.
    """

    @tf.custom_gradient
    def run(*inputs):
        def first_order(*upstream):
            return gradient(*inputs, *upstream)

        return _on_arrays(function, inputs, outputs), first_order

    return list(run(*inputs))


def gradient_function(function, tensors, outputs: list[tf.TensorSpec], make: str) -> list[tf.Tensor]:
    """Returns gradients that a function of arrays computes; their own gradient raises a `ModelError`.

    Args:
      function: from one array for each of `tensors` to one for each output.
      tensors: its arguments.
      outputs: the shape and dtype of each output.
      make: the make of the model, for the message.
    """

    @tf.custom_gradient
    def run(*tensors):
        def second_order(*_):
            raise ModelError(f"{make} has gradients of first order only, and this method takes a gradient of one")

        return _on_arrays(function, tensors, outputs), second_order

    return list(run(*tensors))


def _on_arrays(function, tensors, outputs: list[tf.TensorSpec]) -> tuple[tf.Tensor, ...]:
    # Not stateful: the same inputs give the same outputs, so TensorFlow need not run what nobody uses.
    results = tf.numpy_function(noting(function), list(tensors), [spec.dtype for spec in outputs], stateful=False)
    return tuple(
        tf.ensure_shape(result, spec.shape) for result, spec in zip(tf.nest.flatten(results), outputs, strict=True)
    )
