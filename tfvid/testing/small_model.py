"""The small model and clips that checks use unless others are given."""

import keras
import numpy as np
from keras import layers

SHAPE = (6, 8, 8, 3)  # (T, H, W, C)
CLASSES = 3


def small_clips(count: int = 3) -> np.ndarray:
    """Random clips, float32 `(count, 6, 8, 8, 3)` in [0, 1]; the same in every call."""
    return np.random.default_rng(0).random((count, *SHAPE), np.float32)


class Small(keras.Model):
    """A 3-D convolution, a global average pool and a linear layer.

    Attributes:
      fail: the model raises RuntimeError while this is true.
    """

    def __init__(self):
        super().__init__(name="small")
        self.conv = layers.Conv3D(4, 3, padding="same", activation="relu", name="conv")
        self.norm = layers.BatchNormalization(name="norm")
        self.mean = layers.GlobalAveragePooling3D(name="mean")
        self.head = layers.Dense(CLASSES, name="head")
        self.fail = False

    def call(self, inputs):
        scores = self.head(self.mean(self.norm(self.conv(inputs))))
        if self.fail:
            raise RuntimeError("the check made the model fail")
        return scores


def small_model() -> keras.Model:
    """A model of `SHAPE` clips to `CLASSES` logits, with fixed random weights."""
    model, rng = Small(), np.random.default_rng(0)
    model(small_clips(1))
    for layer in (model.conv, model.head):
        layer.kernel.assign(rng.normal(0, 0.6, layer.kernel.shape))
    return model
