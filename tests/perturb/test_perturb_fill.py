"""What content is replaced by."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
import toy_models

from tfvid.perturb.fill import FILLS, gaussian_blur


@pytest.mark.parametrize("name", FILLS)
def test_a_fill_keeps_shape_and_dtype_and_treats_clips_alone(name):
    clips = tf.constant(toy_models.clips(3))
    filled = FILLS[name](clips)
    assert filled.shape == clips.shape and filled.dtype == clips.dtype
    np.testing.assert_allclose(FILLS[name](clips[1:2]), filled[1:2], atol=1e-6)


def test_fills_of_a_small_clip():
    clips = tf.reshape(tf.constant([1.0, 2.0, 3.0, 6.0]), (1, 2, 1, 2, 1))
    np.testing.assert_array_equal(tf.reshape(FILLS["fade"](clips), [-1]), [0, 0, 0, 0])
    np.testing.assert_array_equal(tf.reshape(FILLS["mean"](clips), [-1]), [3, 3, 3, 3])
    np.testing.assert_array_equal(tf.reshape(FILLS["first_frame"](clips), [-1]), [1, 2, 1, 2])


def test_the_blur_is_scipys():
    clips = toy_models.clips(1)
    ours = gaussian_blur(tf.constant(clips), 1.3)
    theirs = scipy.ndimage.gaussian_filter(clips, (0, 0, 1.3, 1.3, 0), mode="nearest", truncate=3)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(gaussian_blur(tf.ones((1, 2, 5, 4, 3)), 7.0), np.ones((1, 2, 5, 4, 3)), atol=1e-6)
    np.testing.assert_array_equal(gaussian_blur(tf.constant(clips), 0), clips)
