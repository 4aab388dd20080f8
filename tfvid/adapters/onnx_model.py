"""ONNX models in ONNX Runtime: scores."""

from tfvid.adapters.arrays import ArrayModel


class OnnxModel(ArrayModel):
    """An `onnxruntime.InferenceSession` as a Keras model that has scores, but no gradients and no layers.

    It takes a tensor for the session's only input, or a dict by names of inputs. It returns the only output, or a dict.

    Args:
      foreign: the session.
    """

    make = "an ONNX Runtime session"
    no_layers = "its layers are not to be had"

    def _compute(self, inputs):
        names = [one.name for one in self.foreign.get_inputs()]
        outputs = self.foreign.run(None, self.named(inputs, names))
        names = [one.name for one in self.foreign.get_outputs()]
        return outputs[0] if len(names) == 1 else dict(zip(names, outputs, strict=True))
