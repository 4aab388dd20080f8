"""ONNX models in ONNX Runtime: scores."""

import tensorflow as tf

from tfvid.adapters.arrays import ArrayModel

# The dtypes of inputs, by ONNX Runtime's names.
DTYPES = {
    "tensor(float)": tf.float32,
    "tensor(float16)": tf.float16,
    "tensor(double)": tf.float64,
    "tensor(uint8)": tf.uint8,
    "tensor(bool)": tf.bool,
    "tensor(int32)": tf.int32,
    "tensor(int64)": tf.int64,
}


class OnnxModel(ArrayModel):
    """An `onnxruntime.InferenceSession` as a Keras model that has scores, but no gradients and no layers.

    It takes a tensor for the session's only input, or a dict by names of inputs. It returns the only output, or a dict.

    Args:
      foreign: the session.
    """

    make = "an ONNX Runtime session"
    no_layers = "its layers are not to be had"

    def _stated_inputs(self):
        ports = self.foreign.get_inputs()
        if any(one.type not in DTYPES for one in ports):
            return []
        return [
            tf.TensorSpec([size if isinstance(size, int) else None for size in one.shape], DTYPES[one.type], one.name)
            for one in ports
        ]

    def _compute(self, inputs):
        names = [one.name for one in self.foreign.get_inputs()]
        outputs = self.foreign.run(None, self.named(inputs, names))
        names = [one.name for one in self.foreign.get_outputs()]
        return outputs[0] if len(names) == 1 else dict(zip(names, outputs, strict=True))
