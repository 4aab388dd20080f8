"""Class Feature Pyramids: the rules and maps by hand, branches and shortcuts, planted truth, what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfvid.core.errors import ModelError, TfvidError
from tfvid.explain.pyramids.explainer import ClassFeaturePyramids
from tfvid.explain.pyramids.kernels import of_class, of_kernels


def test_kernels_of_a_class_by_hand():
    """Over the layer's range of -1 to 3, class 0 has the weights 0, .5 and .75, class 1 has 1, .25 and .5."""
    W = tf.constant([[-1.0, 3.0], [1.0, 0.0], [2.0, 1.0]])
    signs = tf.constant([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(of_class(W, signs, 0.6), [[False, False, True], [True, False, False]])
    np.testing.assert_array_equal(of_class(W, signs, 0.5), [[False, True, True], [True, False, True]])


def test_kernels_of_a_model_with_one_output_by_hand():
    """Class 1 has the weights 2 and -1, class 0 the weights -2 and 1: over -2 to 2 they are 1, .25 and 0, .75."""
    signs = tf.constant([[1.0], [-1.0]])
    np.testing.assert_array_equal(of_class(tf.constant([[2.0], [-1.0]]), signs, 0.6), [[True, False], [False, True]])


def test_inputs_of_kernels_by_hand():
    """Means of the inputs 2, 1, 4.

    Kernel 0: contributions 2, 3, -4, sum 1; over their range 6/7, 1, 0. Kernel 1: -2, 1, -4, sum -5, so 2, -1, 4; over
    their range .6, 0, 1.
    """
    weights, features = tf.constant([[1.0, -1.0], [3.0, 1.0], [-1.0, -1.0]]), tf.constant([[2.0, 1.0, 4.0]])
    for kernels, theta, expected in (
        ([True, False], 0.8, [True, True, False]),
        ([True, False], 0.9, [False, True, False]),
        ([False, True], 0.7, [False, False, True]),
        ([True, True], 0.9, [False, True, True]),
        ([False, False], 0.0, [False, False, False]),
    ):
        np.testing.assert_array_equal(of_kernels(weights, features, tf.constant([kernels]), theta), [expected])


def test_inputs_of_zero_never_count_and_equal_ones_all_do():
    weights = tf.ones((2, 1))
    for features, expected in (([[0.0, 0.0]], [[False, False]]), ([[3.0, 3.0]], [[True, True]])):
        np.testing.assert_array_equal(of_kernels(weights, tf.constant(features), tf.constant([[True]]), 1.0), expected)


FIRST = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]])  # two colours to three kernels
SECOND = np.array([[1.0, 0.0], [0.0, 1.0], [0.1, 0.0]])
HEAD = np.array([[1.0, 0.0], [0.0, 1.0]])
# Two frames of one row of two pixels of two colours; the means are 2 and 4.
CLIP = np.float32([[[[[1, 0], [0, 8]]], [[[3, 4], [4, 4]]]]])


def set_kernel(layer, weights):
    layer.set_weights([np.reshape(weights, layer.kernel.shape)])


def two_convolutions():
    first, second = (layers.Conv3D(n, 1, use_bias=False, name=name) for n, name in ((3, "first"), (2, "second")))
    head = layers.Dense(2, use_bias=False)
    pool = layers.GlobalAveragePooling3D()
    net = keras.Sequential([keras.Input(CLIP.shape[1:]), first, layers.ReLU(), second, pool, head])
    set_kernel(first, FIRST), set_kernel(second, SECOND), set_kernel(head, HEAD)
    return net


def pyramid(net, clips=CLIP, target=0, **options):
    return ClassFeaturePyramids(net, **{"normalize": None, "input_range": None, **options})(clips, target)


def test_maps_by_hand():
    """Class 0 reads kernel 0 of the second layer, which reads kernels 0 and 2 of the first: contributions 2 and .1.

    So kernel 2 counts if theta is .05 (.1 / 2) or less.
    """
    explain = ClassFeaturePyramids(two_convolutions(), normalize=None, input_range=None)
    result, colour = explain(CLIP, 0), CLIP[..., 0]
    np.testing.assert_allclose(result.pyramid, np.stack([1.05 * colour, colour], axis=1), rtol=1e-6)
    np.testing.assert_array_equal(result.kernels, [[True, False, True, False, False]])
    assert [tuple(layer) for layer in result.layers] == [("second", 1, 2), ("first", 2, 3)]
    np.testing.assert_allclose(result.attribution, 1.05 * colour, rtol=1e-6)
    np.testing.assert_allclose(explain(CLIP, 1).pyramid, np.repeat(CLIP[:, None, ..., 1], 2, axis=1), rtol=1e-6)
    both = pyramid(two_convolutions(), theta=0.05, level=2, normalize="clip_range")
    np.testing.assert_array_equal(both.kernels_of("second"), [[True, False]])
    np.testing.assert_array_equal(both.kernels_of("first"), [[True, False, True]])
    np.testing.assert_allclose(both.attribution.ravel(), [0.25, 0, 0.75, 1], atol=1e-6)
    with pytest.raises(TfvidError, match="layer 'third' is not in the pyramid; expected one of second, first"):
        result.kernels_of("third")


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_branches_and_a_shortcut(order):
    """Class 0 reads map 0 of a branch, class 1 map 0 of the other branch, whose shortcut brings the first layer's.

    A max-pool keeps the channels, and where H = W = 1, too.
    """
    is_last = order == "channels_last"
    axis = -1 if is_last else 1
    options = {"use_bias": False, "data_format": order}
    inputs = keras.Input(CLIP.shape[1:])
    x = inputs if is_last else layers.Permute((4, 1, 2, 3))(inputs)
    first = layers.Conv3D(2, 1, name="first", **options)
    left = layers.Conv3D(1, 1, name="left", **options)
    right = layers.Conv3D(2, 1, name="right", **options)
    head = layers.Dense(2, use_bias=False)
    x = layers.MaxPooling3D(1, data_format=order)(layers.ReLU()(first(x)))
    y = layers.ReLU()(layers.Add()([layers.BatchNormalization(axis)(right(x)), x]))
    y = layers.Concatenate(axis=axis)([left(x), y])
    net = keras.Model(inputs, head(layers.GlobalAveragePooling3D(data_format=order)(y)))
    set_kernel(first, np.eye(2)), set_kernel(left, [[1.0], [0.0]]), set_kernel(right, [[0.0, 0.0], [1.0, 0.0]])
    set_kernel(head, [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    of_left, of_right = pyramid(net, target=0), pyramid(net, target=1)
    np.testing.assert_array_equal(of_left.kernels_of("left"), [[True]])
    np.testing.assert_array_equal(of_left.kernels_of("right"), [[False, False]])
    np.testing.assert_array_equal(of_left.kernels_of("first"), [[True, False]])
    np.testing.assert_allclose(of_left.attribution, CLIP[..., 0], rtol=1e-6)
    np.testing.assert_array_equal(of_right.kernels_of("left"), [[False]])
    np.testing.assert_array_equal(of_right.kernels_of("right"), [[True, False]])
    np.testing.assert_array_equal(of_right.kernels_of("first"), [[True, True]])  # one by the shortcut
    scale = 1 / np.sqrt(1.001)
    np.testing.assert_allclose(of_right.attribution, CLIP[..., 0] + scale * CLIP[..., 1], rtol=1e-5)
    np.testing.assert_allclose(of_right.pyramid[:, 1], CLIP.sum(-1), rtol=1e-6)


def test_a_pool_over_frames_of_one_pixel():
    """Two 2-D pools compute it (`tfvid.network.max_pool`), with reshapes in which H = W = 1."""
    body = [layers.Conv3D(3, 1), layers.MaxPool3D((3, 3, 3), 1, "same"), layers.Conv3D(5, 1)]
    net = keras.Sequential([keras.Input((4, 1, 1, 3)), *body, layers.GlobalAveragePooling3D(), layers.Dense(3)])
    result = pyramid(net, np.random.default_rng(0).random((2, 4, 1, 1, 3), np.float32), [0, 1], theta=0.0)
    assert result.kernels.all() and result.pyramid.shape == (2, 2, 4, 1, 1)


def test_a_convolution_in_groups_reads_its_group_only():
    """Kernel 1 of the second layer is in the second group, so it reads kernel 1 of the first layer."""
    first, grouped = layers.Conv3D(2, 1, use_bias=False), layers.Conv3D(2, 1, groups=2, use_bias=False)
    head = layers.Dense(2, use_bias=False)
    net = keras.Sequential([keras.Input(CLIP.shape[1:]), first, grouped, layers.GlobalAveragePooling3D(), head])
    set_kernel(first, np.eye(2)), set_kernel(grouped, [[1.0, 1.0]]), set_kernel(head, HEAD)
    result = pyramid(net, target=1)
    np.testing.assert_array_equal(result.kernels, [[False, True, False, True]])
    np.testing.assert_allclose(result.pyramid, np.repeat(CLIP[:, None, ..., 1], 2, axis=1), rtol=1e-6)


def test_planted_truth():
    """Class 0 is red, class 1 is green: the map of each is its box and its frames, and nothing else."""
    clip = np.zeros((1, 8, 8, 8, 3), np.float32)
    clip[0, 2:4, 1:3, 1:3, 0], clip[0, 5:7, 5:8, 4:6, 1] = 1, 1
    first, second, head = layers.Conv3D(4, 1), layers.Conv3D(4, 1), layers.Dense(2)
    pool = layers.GlobalAveragePooling3D()
    net = keras.Sequential([keras.Input(clip.shape[1:]), first, layers.ReLU(), second, layers.ReLU(), pool, head])
    rng = np.random.default_rng(0)
    for layer in (first, second, head):  # noise below the threshold
        layer.kernel.assign(rng.uniform(0, 0.05, layer.kernel.shape))
    for colour in range(2):
        kernels = [layer.kernel.numpy() for layer in (first, second, head)]
        kernels[0][..., colour, colour] = kernels[1][..., colour, 3 - colour] = kernels[2][3 - colour, colour] = 1
        for layer, kernel in zip((first, second, head), kernels, strict=True):
            layer.kernel.assign(kernel)
    for colour in range(2):
        maps = pyramid(net, clip, colour, normalize="clip_range").pyramid[0]
        for one in maps:
            np.testing.assert_array_equal(one > 0.5, clip[0, ..., colour] > 0)


def test_nothing_counts_where_no_weight_reaches_theta():
    net = two_convolutions()
    set_kernel(net.layers[-1], [[0.2, 0.0], [0.0, 1.0]])
    with pytest.warns(RuntimeWarning, match="no kernel counts for 1 of 1 clips, .* theta=0.6; lower theta"):
        result = pyramid(net)
    assert not result.kernels.any() and not result.pyramid.any()


def test_what_is_refused():
    shape, conv, pool = (4, 2, 2, 3), layers.Conv3D(2, 1), layers.GlobalAveragePooling3D()
    per_frame = layers.TimeDistributed(keras.Sequential([layers.Conv2D(2, 1), layers.GlobalAveragePooling2D()]))
    for body, message in (
        (
            [conv, layers.Flatten()],
            r"layer 'flatten.*' \(Flatten\): a class feature pyramid has no rule .* Reshape",
        ),
        ([per_frame, layers.LSTM(2)], r"layer 'lstm.*' \(LSTM\): .* no rule for recurrent layers; use 'grad_cam'"),
        ([per_frame, layers.GlobalAveragePooling1D()], r"layer '.*conv2d.*' \(Conv2D\): .* no rule for its operation"),
        ([pool], "the model has no 3-D convolution below its classifier"),
    ):
        with pytest.raises(ModelError, match=message):
            pyramid(keras.Sequential([keras.Input(shape), *body, layers.Dense(2)]), np.zeros((1, *shape), np.float32))
    with pytest.raises(TfvidError, match="levels 1 to 2, got 3"):
        pyramid(two_convolutions(), level=3)
    for options in ({"theta": 1.5}, {"depth": 0}, {"level": 4}, {"level": 0}):
        with pytest.raises(TfvidError, match="expected"):
            ClassFeaturePyramids(two_convolutions(), **options)
