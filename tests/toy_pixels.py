"""Models whose gradients at the pixels can be worked out by hand, on clips of 1 x 1 x 3 pixels; and a smooth one."""

import keras
import numpy as np
from keras import layers

PIXELS = np.array([2, -1, 3], np.float32).reshape(1, 1, 1, 3, 1)
WEIGHTS = np.array([[1, 0], [1, 2], [-1, 1]], np.float32)  # of the pixels in two classes


def head(*before, shape=(1, 1, 3, 1), weights=WEIGHTS, bias=(0.0, 0.0)):
    """`before`, then a Dense layer of these weights; the logits are ``f(x) @ weights + bias``."""
    dense = layers.Dense(2)
    model = keras.Sequential([keras.Input(shape), *before, layers.Flatten(), dense])
    dense.set_weights([np.asarray(weights), np.asarray(bias)])
    return model


def power(exponent):
    return layers.Lambda(lambda x: x**exponent)


def smooth(shape=(4, 6, 6, 3)):
    """A model whose gradient is continuous, as with a ReLU it is not; and clips of `shape` for it."""
    rng = np.random.default_rng(0)
    inputs = keras.Input(shape)
    conv, dense = layers.Conv3D(4, 3, activation="tanh"), layers.Dense(3)
    model = keras.Model(inputs, dense(layers.Flatten()(conv(inputs))))
    for layer in (conv, dense):
        layer.kernel.assign(rng.normal(0, 0.3, layer.kernel.shape))
    return model, rng.random((2, *shape), np.float32)
