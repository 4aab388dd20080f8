"""What a model states about its clips: their size, and an order of axes that is not tfvid's."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfvid
from tfvid.core.errors import TfvidError
from tfvid.network.layout import likely_layout
from tfvid.network.stated import OPEN, clip_shape, input_shape


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((None, 3, 16, 112, 112), "CTHW"),
        ((None, 3, None, None, None), "CTHW"),
        ((8, 1, 16, 64, 64), "CTHW"),
        ((None, 16, 3, 128, 171), "TCHW"),
        ((None, 64, 64, 16, 3), "HWTC"),
        ((None, 224, 224, 3), "(BT)HWC"),
        ((None, 3, 224, 224), "(BT)CHW"),
        # Ordinary models: RGB, any size, cubes, stacked flow of one frame, features, grey without channels.
        ((None, 16, 224, 224, 3), None),
        ((None, None, None, None, 3), None),
        ((2, 16, 16, 16, 3), None),
        ((None, 3, 112, 112, 3), None),
        ((None, 1, 224, 224, 20), None),
        ((None, 16, 7, 7, 512), None),
        ((None, 16, 1, 1, 2048), None),
        ((None, 16, 64, 64), None),
        ((None, 512), None),
    ],
)
def test_the_layout_that_a_shape_looks_like(shape, layout):
    assert likely_layout(shape) == layout


def network(shape):
    given = keras.Input(shape)
    return keras.Model(given, layers.Dense(3)(layers.Flatten()(given)), name="net")


@pytest.mark.parametrize(("shape", "layout"), [((3, 4, 6, 6), "CTHW"), ((4, 3, 6, 5), "TCHW"), ((6, 6, 4, 3), "HWTC")])
def test_a_model_that_looks_otherwise_and_has_no_layout_is_warned_of(shape, layout):
    clips = np.random.default_rng(0).random((2, *shape), np.float32)
    with pytest.warns(RuntimeWarning) as caught:
        tfvid.Gradient(network(shape))(clips)
    (warning,) = [str(one.message) for one in caught]
    assert warning == (
        f"the input of 'net', {(None, *shape)}, looks like {layout}, and clips are given to it as (B, T, H, W, C); "
        f"if it is, set tfvid.VideoModel(model, layout={layout!r})"
    )
    named = dict(zip(layout, shape, strict=True))
    clips = np.random.default_rng(0).random((2, *(named[axis] for axis in "THWC")), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfvid.Gradient(tfvid.VideoModel(network(shape), layout=layout))(clips)
    with pytest.raises(TfvidError, match=rf"for a model with another order of axes: .*layout='{layout}'"):
        tfvid.Gradient(network(shape))(clips)


def test_a_model_of_single_frames_is_refused_with_its_layout():
    with pytest.raises(TfvidError, match=r"layout='\(BT\)HWC'"):
        tfvid.Gradient(network((6, 5, 3)))(np.zeros((1, 4, 6, 5, 3), np.float32))


def test_the_size_that_a_model_states():
    plain = network((4, 6, 5, 3))
    assert input_shape(plain) == (None, 4, 6, 5, 3) and clip_shape(plain) == (4, 6, 5, 3)
    first = tfvid.VideoModel(network((3, 4, 6, 5)), layout="CTHW")
    assert input_shape(first) == (None, 4, 6, 5, 3) and clip_shape(first) == (4, 6, 5, 3)
    frames = network((6, 5, 3))
    assert input_shape(frames) == (None, 6, 5, 3) and clip_shape(frames) == OPEN
    assert clip_shape(tfvid.VideoModel(frames, layout="(BT)HWC")) == (None, 6, 5, 3)


def test_models_that_state_nothing():
    class Own(keras.Model):
        def call(self, x):
            return tf.reduce_mean(x, (2, 3, 4))

    one, two = keras.Input((4, 6, 5, 3)), keras.Input((4, 6, 5, 3))
    both = keras.Model([one, two], layers.Dense(2)(layers.Flatten()(layers.Add()([one, two]))))
    for model in (Own(), both, keras.Sequential([layers.Flatten()]), lambda clips: clips):
        assert input_shape(model) is None and clip_shape(model) == OPEN


class OfTwo(layers.Layer):
    """Works for exactly two clips."""

    def call(self, x):
        return tf.reshape(x, (2, *x.shape[1:]))


def test_a_map_of_a_model_in_a_loop_says_why_it_is_refused():
    given = keras.Input(batch_shape=(2, 4, 6, 5, 3))
    x = layers.Conv3D(2, 3, padding="same", name="conv")(OfTwo()(given))
    model = tfvid.VideoModel(keras.Model(given, layers.Dense(3)(layers.GlobalAveragePooling3D()(x))))
    for layer in (None, "conv"):
        with pytest.raises(
            tfvid.ModelError, match="works for exactly 2 clips at a time, so it runs in a loop"
        ) as error:
            tfvid.GradCAM(model, layer=layer)(np.zeros((1, 4, 6, 5, 3), np.float32))
        assert "\n" not in str(error.value) and "'gradient' or 'occlusion'" in str(error.value)
