"""Networks of any shape and dtype that every explainer takes, and a check of what explainers return for them."""

import dataclasses

import keras
import numpy as np
import toy_models
from keras import layers
from quick_explainers import QUICK

from tfvid.explain import explainer

SHAPE = toy_models.SHAPE


def network(shape=SHAPE, classes=3, *, head="linear", dtype=None, order="channels_last", seed=0):
    """A 3-D network that every method takes; `dtype` is a policy's name, of the head too."""
    inputs = x = keras.Input(shape, dtype="float64" if dtype == "float64" else None)
    if order == "channels_first":
        x = layers.Permute((4, 1, 2, 3))(x)
    x = layers.Conv3D(4, 3, padding="same", data_format=order, dtype=dtype, name="conv")(x)
    x = layers.ReLU(dtype=dtype)(x)
    x = layers.GlobalAveragePooling3D(data_format=order, dtype=dtype)(x)
    model = keras.Model(inputs, layers.Dense(classes, activation=head, dtype=dtype, name="head")(x))
    rng = np.random.default_rng(seed)
    for layer in (model.get_layer("conv"), model.get_layer("head")):
        layer.kernel.assign(rng.normal(0, 0.5, layer.kernel.shape))
    return model


def explain(method, model, clips, **options):
    return explainer(method, model, **{**QUICK.get(method, {}), **options})(clips)


def clips_of(shape, num_clips=2, seed=1):
    return np.random.default_rng(seed).random((num_clips, *shape), np.float32)


def assert_answers(result, num_classes):
    """Numbers throughout, of the shapes and in the ranges that results have."""
    assert ((result.predicted >= 0) & (result.predicted < num_classes)).all()
    for field in dataclasses.fields(result):
        values = getattr(result, field.name)
        if field.name not in result.not_known:
            assert np.isfinite(values).all(), field.name
    if hasattr(result, "mask"):
        assert ((result.mask >= 0) & (result.mask <= 1)).all()
