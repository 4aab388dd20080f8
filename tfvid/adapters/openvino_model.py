"""OpenVINO models: scores."""

import numpy as np
import tensorflow as tf

from tfvid.adapters.arrays import ArrayModel


class OpenVinoModel(ArrayModel):
    """An `openvino.CompiledModel` as a Keras model that has scores, but no gradients and no layers.

    It takes a tensor for the model's only input, or a dict by names of inputs. It returns the only output, or a dict.

    Args:
      foreign: the compiled model.
    """

    make = "an OpenVINO model"
    no_layers = "its layers are not to be had"

    def _stated_inputs(self):
        return [_stated(port, place) for place, port in enumerate(self.foreign.inputs)]

    def _compute(self, inputs):
        named = self.named(inputs, [_name(port, place) for place, port in enumerate(self.foreign.inputs)])
        request = self.foreign.create_infer_request()  # its own: a model may be called by several threads
        results = request.infer(dict(enumerate(named.values())))
        outputs = {_name(port, place): np.array(results[port]) for place, port in enumerate(self.foreign.outputs)}
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def _stated(port, place: int) -> tf.TensorSpec:
    shape = port.partial_shape
    sizes = [size.get_length() if size.is_static else None for size in shape] if shape.rank.is_static else None
    return tf.TensorSpec(sizes, port.element_type.to_dtype(), _name(port, place))


def _name(port, place: int) -> str:
    return port.any_name if port.names else str(place)
