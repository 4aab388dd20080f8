"""A model's first convolution done once: the same scores and gradients as doing it for every mixture of frames."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from keras import layers

from tfvid.explain.masks.stem import STEMS, Mixtures, find_stem, tap_matrix
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.network.classifier import Classifier
from tfvid.network.recurrence import input_gates, is_plain, recurrence
from tfvid.perturb.temporal import freeze, reverse

SHAPE = (6, 9, 8, 3)


def clips(num_clips=2):
    return tf.constant(np.random.default_rng(0).random((num_clips, *SHAPE), np.float32))


def masks(num_clips=2):
    return tf.constant(np.random.default_rng(1).random((num_clips, SHAPE[0]), np.float32))


def prepared(model):
    classifier = Classifier(model)
    classifier.prepare(clips())
    return classifier


def model_of(*body):
    return keras.Sequential([keras.Input(SHAPE), *body, layers.Flatten(), layers.Dense(3)])


def test_tap_matrix_by_hand():
    """A kernel of 3 on 3 frames, the last of which shows the first: the tap on t + 1 of step 1 weighs frame 0."""
    matrix = tf.constant([[[1.0, 0, 0], [0, 1, 0], [1, 0, 0]]])
    expected = [
        [0, 0, 0, 1, 0, 0, 0, 1, 0],  # nothing before the clip; frame 0 shows 0, frame 1 shows 1
        [1, 0, 0, 0, 1, 0, 1, 0, 0],
        [0, 1, 0, 1, 0, 0, 0, 0, 0],  # nothing after it
    ]
    np.testing.assert_array_equal(tap_matrix(matrix, 3, 1, "same")[0], expected)
    np.testing.assert_array_equal(tap_matrix(matrix, 3, 1, "valid")[0], expected[1:2])
    np.testing.assert_array_equal(tap_matrix(matrix, 3, 2, "same")[0], [expected[0], expected[2]])


CONVOLUTIONS = {
    "plain": {},
    "long in time": {"kernel_size": (5, 3, 3)},
    "even": {"kernel_size": (2, 4, 2)},
    "strided": {"strides": 2},
    "strided in space": {"kernel_size": (7, 3, 3), "strides": (1, 2, 2)},
    "valid": {"padding": "valid"},
    "without bias": {"use_bias": False},
    "with ReLU": {"activation": "relu"},
}


@pytest.mark.parametrize("options", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_conv3d(options):
    options = {"kernel_size": 3, "padding": "same", "bias_initializer": "normal"} | options
    check_equal(model_of(layers.Rescaling(2, -1), layers.Conv3D(4, **options)))


RECURRENT = {
    "plain": {},
    "strided": {"strides": 2},
    "valid": {"padding": "valid"},
    "without bias": {"use_bias": False},
    "last step": {"return_sequences": False},
    "other activations": {"activation": "relu", "recurrent_activation": "hard_sigmoid"},
}


def few(options, *quick):
    """A parameter of a test for each of `options`; those not named run in `make test-long`."""
    return [
        pytest.param(value, id=name, marks=[] if name in quick else pytest.mark.long) for name, value in options.items()
    ]


@pytest.mark.parametrize("options", few(RECURRENT, "strided", "last step"))
def test_conv_lstm(options):
    options = {"padding": "same", "return_sequences": True, "bias_initializer": "normal"} | options
    check_equal(model_of(layers.Rescaling(2, -1), layers.ConvLSTM2D(4, 3, **options)))


def check_equal(model):
    """Scores and their gradients at the mask, with and without a stem."""
    classifier = prepared(model)
    stem = find_stem(classifier, clips())
    assert stem is not None

    @tf.function(autograph=False)
    def scores(perturb, mask, stem):
        mixtures = Mixtures(classifier, stem, clips())
        with tf.GradientTape() as tape:
            tape.watch(mask)
            logits = mixtures(perturb, mask, "logit")
            first = logits[:, 0]
        return logits, tape.gradient(first, mask)

    for perturb in (freeze, reverse):
        expected, expected_gradient = scores(perturb, masks(), None)
        shared, gradient = scores(perturb, masks(), stem)
        assert tf.reduce_max(tf.abs(expected_gradient)) > 1e-3
        np.testing.assert_allclose(shared, expected, atol=1e-5)
        np.testing.assert_allclose(gradient, expected_gradient, atol=1e-5)


def test_the_first_convolution_runs_no_more():
    """What the mask is learned with has no convolution over time left in a model of one."""
    classifier = prepared(model_of(layers.Conv3D(4, 3)))
    stem = find_stem(classifier, clips())

    def operations(stem):
        function = tf.function(lambda mask: Mixtures(classifier, stem, clips())(freeze, mask), autograph=False)
        waiting, found = [function.get_concrete_function(masks()).graph.outputs[0].op], set()
        while waiting:
            operation = waiting.pop()
            if operation not in found:
                found.add(operation)
                waiting += [tensor.op for tensor in operation.inputs]
        return {operation.type for operation in found}

    assert "Conv3D" in operations(None)
    assert "Conv3D" not in operations(stem)


class Differences(keras.layers.Layer):
    """Frame differences: the change at a frozen frame is none, not a mixture of the changes there were."""

    def call(self, inputs):
        return tf.abs(inputs[:, 1:] - inputs[:, :-1])


def test_what_cannot_be_shared_is_not():
    shared = layers.Conv3D(3, 3, padding="same")
    for model in (
        model_of(Differences(), layers.Conv3D(4, 3)),
        model_of(layers.Conv3D(4, 3, dilation_rate=2)),
        model_of(layers.Conv3D(6, 3, groups=3)),
        model_of(layers.ConvLSTM2D(4, 3, go_backwards=True)),
        model_of(shared, shared),
        model_of(layers.Dense(4)),
    ):
        assert find_stem(prepared(model), clips()) is None


def test_other_ways_from_the_clip_see_it_perturbed():
    """A branch beside the first convolution gets the mixed clip."""
    inputs = keras.Input(SHAPE)
    branches = [layers.Conv3D(4, 3, padding="same")(inputs), layers.Dense(2)(inputs)]
    check_equal(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Concatenate()(branches)))))


def test_the_model_is_left_as_it_was():
    model = toy_models.build("subclassed")
    explain = TemporalMask(model, iterations=2)
    explain(toy_models.clips(2))
    assert type(explain.evaluator.stem) is STEMS[layers.Conv3D]
    assert "call" not in vars(model.conv)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_recurrence_is_keras_own(dtype):
    layer = layers.ConvLSTM2D(4, 3, strides=2, padding="same", return_sequences=True, dtype=dtype)
    inputs = tf.cast(clips(), layer.compute_dtype)
    expected = layer(inputs)
    assert is_plain(layer)
    result = recurrence(layer, input_gates(layer, inputs))
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(
        tf.cast(result, tf.float32), tf.cast(expected, tf.float32), atol=1e-5 if dtype == "float32" else 2e-2
    )
