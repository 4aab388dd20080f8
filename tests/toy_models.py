"""Small video models of every build that an explainer must take: clips (B, 6, 8, 8, 3) to three classes."""

import keras
import numpy as np
from keras import layers

SHAPE = (6, 8, 8, 3)


def clips(num_clips=3, seed=0):
    return np.random.default_rng(seed).random((num_clips, *SHAPE), np.float32)


def _body(dtype=None, activation=None, head_dtype="float32", pooled=False):
    """`pooled`: the last layer is given the features' mean over time and space, not all of them."""
    flatten = layers.GlobalAveragePooling3D if pooled else layers.Flatten
    return [
        layers.Conv3D(4, 3, padding="same", activation="relu", dtype=dtype, name="conv"),
        layers.BatchNormalization(dtype=dtype, name="norm"),
        layers.MaxPooling3D((1, 2, 2), dtype=dtype, name="pool"),
        flatten(dtype=dtype, name="flatten"),
        layers.Dense(3, activation=activation, dtype=head_dtype, name="head"),
    ]


def sequential(**options):
    return keras.Sequential([keras.Input(SHAPE), *_body(**options)], name="sequential")


def functional(**options):
    inputs = x = keras.Input(SHAPE)
    for layer in _body(**options):
        x = layer(x)
    return keras.Model(inputs, x, name="functional")


def nested(**options):
    *body, flatten, head = _body(**options)
    inputs = keras.Input(SHAPE)
    backbone = keras.Sequential([keras.Input(SHAPE), *body], name="backbone")
    return keras.Model(inputs, keras.Sequential([flatten, head], name="top")(backbone(inputs)), name="nested")


@keras.saving.register_keras_serializable("toys")
class Subclassed(keras.Model):
    """Layers in attributes, a plain call without a training argument; raises when told to."""

    def __init__(self, activation=None, dtype=None, head_dtype="float32", pooled=False, **options):
        super().__init__(**options)
        self.settings = {"activation": activation, "head_dtype": head_dtype, "pooled": pooled}
        self.conv, self.norm, self.pool, self.flat, self.head = _body(dtype, activation, head_dtype, pooled)
        self.fail = False

    def call(self, inputs):
        scores = self.head(self.flat(self.pool(self.norm(self.conv(inputs)))))
        if self.fail:
            raise RuntimeError("told to fail")
        return scores

    def get_config(self):
        return {**super().get_config(), **self.settings, "dtype": None}


def subclassed(**options):
    model = Subclassed(name="subclassed", **options)
    model(clips(1))
    return model


def mixed_precision(**options):
    model = functional(dtype="mixed_bfloat16", **options)
    model.name = "mixed_precision"
    return model


def softmax(**options):
    model = functional(activation="softmax", **options)
    model.name = "softmax"
    return model


def per_frame(pooled=False):
    """A 2-D network on every frame, then a recurrent layer over time."""
    frame = keras.Sequential(
        [layers.Conv2D(4, 3, activation="relu", name="conv"), layers.GlobalAveragePooling2D()], name="frame"
    )
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.TimeDistributed(frame, name="frames"),
            layers.GlobalAveragePooling1D() if pooled else layers.LSTM(5),
            layers.Dense(3),
        ],
        name="per_frame",
    )


BUILDS = {
    build.__name__: build for build in (functional, sequential, nested, subclassed, mixed_precision, softmax, per_frame)
}


def build(name, seed=0, **options):
    """One of `BUILDS`, its weights drawn anew and large enough that scores differ between clips."""
    model = BUILDS[name](**options)
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, (layers.Conv3D, layers.Conv2D, layers.Dense)):
            layer.kernel.assign(rng.normal(0, 0.3, layer.kernel.shape))
    model(clips(1))  # recurrent cells of Keras take on attributes when they first run
    return model
