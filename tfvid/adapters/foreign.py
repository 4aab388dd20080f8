"""The base of the adapters: a model of another make as a Keras model, and its layers as layers of it.

tfvid watches a layer by replacing its ``call``. A layer of another make has a `ForeignLayer` in its place, which the
adapter calls with the features that the layer has made, and whose output the rest of the foreign model takes. So class
activation maps work as for a Keras layer, gradients included.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError

# Kinds of layers that pass features on without making new ones, in PyTorch and in Keras 2.
_PASSING = re.compile(r"Pool|Norm|Dropout|DropPath|Identity|Flatten|Reshape|Permute|Pad|InputLayer|Rescaling|Resizing")


class ForeignLayer(keras.layers.Layer):
    """Stands for a layer of a foreign model; returns its input, the features that this layer has made.

    Args:
      name: the name of the layer in the foreign model.
      kind: the name of its class.
      data_format: "channels_first" if its features are in that order when they come here.

    Attributes:
      passes: whether the layer passes features on without making new ones, like a pooling layer.
    """

    def __init__(self, name: str, kind: str, data_format: str | None = None):
        super().__init__(name=name.replace("/", "."), autocast=False, trainable=False)
        self.kind = kind
        self.passes = bool(_PASSING.search(kind))
        self.data_format = data_format
        self.built = True

    def call(self, features):
        return features

    @property
    def is_watched(self) -> bool:
        """Whether somebody watches this layer's output now."""
        return "call" in vars(self)


class ForeignModel(keras.Model):
    """The base of all adapters: a model of another make as a Keras model.

    It takes the tensors that the foreign model takes, and returns what it returns, as TensorFlow's tensors, in
    inference mode. It has no weights of its own, and the foreign model stays unchanged.

    Args:
      foreign: the foreign model.
      parts: its layers, for class activation maps.

    Attributes:
      foreign: the foreign model.
      parts: the `ForeignLayer` of each layer of the foreign model.
      file: the file that it was loaded from by `tfvid.load_model`; None if it was made in another way.
      make: class attribute: the make in words, for messages.
      no_layers: class attribute: why there are no layers, for messages.
    """

    make = "a foreign model"
    no_layers = "its layers are not to be had"

    def __init__(self, foreign, parts: list[ForeignLayer] | None = None):
        super().__init__(name=re.sub(r"\W", "_", type(foreign).__name__).strip("_").lower() or None, autocast=False)
        self.__dict__["foreign"] = foreign  # not by Keras' __setattr__, which may wrap it
        self.parts = parts or []
        self.file: Path | None = None
        self.built = True

    @property
    def inputs(self) -> list[tf.TensorSpec]:
        """The name, the shape and the dtype of each input, as the model states them; [] if it does not state all."""
        stated = self._stated_inputs()
        return stated if all(one.shape.rank is not None for one in stated) else []

    def _stated_inputs(self) -> list[tf.TensorSpec]:
        """What is known of the inputs; [] if nothing is."""
        return []

    def compute_mask(self, inputs, previous_mask):
        return None

    def get_weights(self):
        """Returns the foreign model's weights as arrays; [] if they are not to be had."""
        return [np.asarray(one) for one in self._weights_of()]

    def _weights_of(self) -> Iterable:
        """What `get_weights` returns, as anything that NumPy converts."""
        return getattr(self.foreign, "variables", None) or ()

    def get_config(self):
        raise ModelError(f"{self.make} cannot be saved by Keras; save the {type(self.foreign).__name__} itself")
