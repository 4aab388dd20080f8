"""Models that are not as the papers' are: every explainer answers for them, or says in one line why it cannot."""

import dataclasses
import inspect
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from odd_models import SHAPE, assert_answers, clips_of, explain, network
from quick_explainers import METHODS, QUICK

from tfvid.core.errors import ModelError, TfvidError
from tfvid.explain import EXPLAINERS, explainer

OF_FEATURES = ("grad_cam", "grad_cam_plus_plus", "layer_cam", "score_cam", "saliency_tubes")
OF_TWO_FRAMES = ("temporal_mask", "crop_search")  # methods that look for frames among others


# Shapes, classes, dtypes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_two_grey_frames_of_a_double_model_that_leaves_all_sizes_open(method):
    """T = 2, one channel, K = 2, float64, an input of (None, None, None, 1), and clips without any difference."""
    model = network((None, None, None, 1), 2, dtype="float64")
    random_clip = clips_of((2, 5, 7, 1), 1)
    still = np.repeat(random_clip[:, :1], 2, axis=1)
    clips = np.concatenate([random_clip, still, np.zeros_like(still), np.full_like(still, 0.5)]).astype(np.float64)
    assert_answers(explain(method, model, clips), 2)


ODD = {
    "one frame": ((1, 8, 8, 3), {}),
    "one row": ((6, 1, 8, 3), {}),
    "one pixel": ((6, 1, 1, 3), {}),
    "one sigmoid": (SHAPE, {"classes": 1, "head": "sigmoid"}),
    "float16": (SHAPE, {"dtype": "float16"}),
    "bfloat16": (SHAPE, {"dtype": "bfloat16"}),
}


@pytest.mark.long
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("method", METHODS)
def test_odd_shapes_and_dtypes(method, odd):
    shape, options = ODD[odd]
    model, clips = network(shape, **options), clips_of(shape)
    refused = {"one frame": OF_TWO_FRAMES, "one pixel": OF_FEATURES[:-1]}.get(odd, ())
    if method in refused:
        message = "clips of 2 frames or more" if odd == "one frame" else "no layer that makes a feature map over space"
        with pytest.raises(TfvidError, match=message):
            explain(method, model, clips)
    else:
        assert_answers(explain(method, model, clips), max(options.get("classes", 3), 2))


def test_one_linear_output_is_refused_where_nobody_says_what_it_is():
    """It may as well be a regression; a softmax over one class says nothing. Whatever the method."""
    for method in METHODS:
        with pytest.raises(ModelError, match="one output and no sigmoid behind it: output='logits' says"):
            explain(method, network(classes=1), clips_of(SHAPE))
    with pytest.raises(ModelError, match="a softmax over one class, which is always 1"):
        explain("gradient", network(classes=1, head="softmax"), clips_of(SHAPE))


@pytest.mark.parametrize("method", ["gradient", "saliency_tubes", "excitation_backprop", "rise"])
def test_a_double_model_has_the_map_of_a_single_one(method):
    single, double = network(), network(dtype="float64")
    clips = clips_of(SHAPE)
    first, second = explain(method, single, clips), explain(method, double, clips)
    np.testing.assert_allclose(first.attribution, second.attribution, atol=1e-5)
    assert second.attribution.dtype == np.float32


# Channels first ------------------------------------------------------------------------------------------------------


TWINS = ("gradient", "grad_cam", "saliency_tubes", "guided_backprop", "excitation_backprop", "occlusion")


@pytest.mark.parametrize(
    "method",
    [method if method in TWINS else pytest.param(method, marks=pytest.mark.long) for method in METHODS],
)
def test_a_channels_first_model_is_explained_as_its_channels_last_twin(method):
    clips = clips_of(SHAPE)
    twin, other = (explain(method, network(order=order), clips) for order in ("channels_last", "channels_first"))
    for field in dataclasses.fields(twin):
        values = getattr(twin, field.name)
        np.testing.assert_allclose(getattr(other, field.name), values, atol=1e-4, err_msg=field.name)


# Inputs and outputs --------------------------------------------------------------------------------------------------


def test_of_several_inputs_or_outputs_the_message_names_the_choice():
    rgb, flow = keras.Input(SHAPE, name="rgb"), keras.Input(SHAPE, name="flow")
    flat = layers.Flatten()(rgb)
    verb, noun = layers.Dense(3, name="verb")(flat), layers.Dense(2, name="noun")(flat)
    two_inputs = keras.Model([rgb, flow], layers.Dense(3)(layers.Flatten()(layers.Add()([rgb, flow]))))
    with pytest.raises(ModelError, match=r"one input.*say what the inputs rgb, flow get: tfvid.VideoModel"):
        explain("gradient", two_inputs, clips_of(SHAPE))
    for outputs in ([verb, noun], {"verb": verb, "noun": noun}):
        both = keras.Model(rgb, outputs)
        with pytest.raises(
            ModelError, match=r"one output.*choose one of .*tfvid.VideoModel\(model, head='(verb|noun)'\)"
        ):
            explain("gradient", both, clips_of(SHAPE))
        chosen = keras.Model(both.inputs, both.outputs[both.output_names.index("noun")])  # as it says
        assert_answers(explain("gradient", chosen, clips_of(SHAPE)), 2)
        wrapped = keras.Model(rgb, two_inputs([rgb, keras.ops.zeros_like(rgb)]))
        assert_answers(explain("gradient", wrapped, clips_of(SHAPE)), 3)


class Pair(keras.Model):
    """Takes two inputs and does not say so: only a call shows it."""

    def call(self, inputs):
        first, second = inputs
        return first + second


class Eager(keras.Model):
    """Cannot be traced."""

    def call(self, inputs):
        return tf.constant(inputs.numpy().mean(axis=(1, 2, 3)))


@pytest.mark.parametrize("model, reason", [(Pair, "not enough values to unpack"), (Eager, "no attribute 'numpy'")])
def test_a_model_that_cannot_be_run_says_why_in_one_line(model, reason):
    with pytest.raises(ModelError, match=f"cannot be run on one input, clips .*{reason}") as caught:
        explain("rise", model(), clips_of(SHAPE))
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_integer_inputs_are_refused_with_a_way_out():
    inputs = keras.Input(SHAPE, dtype="uint8")
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Rescaling(1 / 255)(inputs))))
    clips = clips_of(SHAPE)
    with pytest.raises(ModelError, match="whose input is uint8, which has no gradient; leave out its cast"):
        explain("rise", model, clips)
    rounded = explain("rise", lambda clips: model(np.uint8(np.round(255 * clips))).numpy(), clips)  # as it says
    assert_answers(rounded, 3)


# Random numbers ------------------------------------------------------------------------------------------------------

DRAWING = [name for name in METHODS if "seed" in inspect.signature(EXPLAINERS.find(name)).parameters]
QUICK_TO_DRAW = ("smooth_grad", "rise", "lime", "kernel_shap")


@pytest.mark.parametrize(
    "method", [name if name in QUICK_TO_DRAW else pytest.param(name, marks=pytest.mark.long) for name in DRAWING]
)
def test_draws_are_the_seeds_alone(method):
    """Another clip shape, and thus another trace, in between; other global seeds; and none of these moved on."""
    model, clips = network((None, None, None, 3)), clips_of(SHAPE, 1)
    once = explainer(method, model, **QUICK.get(method, {}))
    keras.utils.set_random_seed(1)
    first = once(clips)
    keras.utils.set_random_seed(2)
    once(clips_of((4, 6, 6, 3)))
    states = random.getstate(), np.random.get_state()[1].tolist()
    for again in (once(clips), explain(method, model, clips)):
        for field in dataclasses.fields(first):
            np.testing.assert_allclose(
                getattr(again, field.name), getattr(first, field.name), atol=1e-5, err_msg=field.name
            )
    assert states == (random.getstate(), np.random.get_state()[1].tolist())
    drawn = tf.random.uniform((3,)).numpy()
    keras.utils.set_random_seed(2)
    np.testing.assert_array_equal(drawn, tf.random.uniform((3,)).numpy())


def test_what_draws_has_a_seed():
    assert set(QUICK_TO_DRAW) < set(DRAWING)
