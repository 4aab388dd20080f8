"""Models of Keras 2 (`tf_keras`), also `tf-models-official`'s MoViNet and `tensorflow_hub.KerasLayer`.

They run in plain TensorFlow, so all gradients are TensorFlow's. A layer is watched by replacing its ``call`` while the
model is traced, as tfvid does with layers of Keras 3.
"""

from contextlib import ExitStack

import tensorflow as tf

from tfvid.adapters.foreign import ForeignLayer, ForeignModel
from tfvid.network.max_pool import max_pool3d
from tfvid.network.tracing import replaced


class Keras2Model(ForeignModel):
    """A model or layer of Keras 2 as a model of Keras 3, with all gradients and layers.

    Args:
      foreign: a `tf_keras` model or layer. It stays unchanged and runs in inference mode.

    Attributes:
      foreign: the model.
      parts: a layer for each layer inside, by its name. Several layers of one name are ``name``, ``name.1``, ...
    """

    make = "a Keras 2 model"
    no_layers = "it has no layers of its own: a KerasLayer of TensorFlow Hub is one operation"

    def __init__(self, foreign):
        layers = [one for one in foreign.submodules if hasattr(one, "call") and hasattr(one, "compute_output_shape")]
        layers = [one for one in layers if type(one).__name__ != "InputLayer"]
        super().__init__(foreign, [_part(one, name) for one, name in zip(layers, _unique(layers), strict=True)])
        # A layer holds the function itself, so `tfvid.network.max_pool.first_maximum` does not reach it.
        self.__dict__["_pools"] = [one for one in layers if getattr(one, "pool_function", None) is tf.nn.max_pool3d]
        self.__dict__["_pairs"] = list(zip(layers, self.parts, strict=True))

    def call(self, inputs, training=None):
        with ExitStack() as stack:
            for layer, part in self._pairs:
                if part.is_watched:
                    stack.enter_context(replaced(layer, "call", _shown(layer.call, part)))
            for layer in self._pools:
                stack.enter_context(replaced(layer, "pool_function", max_pool3d))
            return self.foreign(inputs, training=False)


def _part(layer, name: str) -> ForeignLayer:
    inner = getattr(layer, "layer", None)  # a TimeDistributed layer passes features on if the layer inside does
    kind = type(inner if inner is not None else layer).__name__
    return ForeignLayer(name, kind, getattr(layer, "data_format", None))


def _unique(layers: list) -> list[str]:
    counts: dict[str, int] = {}
    names = []
    for layer in layers:
        count = counts[layer.name] = counts.get(layer.name, -1) + 1
        names.append(f"{layer.name}.{count}" if count else layer.name)
    return names


def _shown(call, part: ForeignLayer):
    """Returns ``call`` whose output goes through `part`."""

    @tf.autograph.experimental.do_not_convert
    def shown(*args, **kwargs):
        return part.call(call(*args, **kwargs))

    return shown
