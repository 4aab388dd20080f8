"""Clips at several levels of blur or fade."""

import numpy as np
import pytest
import tensorflow as tf
import toy_models

from tfvid.core.errors import TfvidError
from tfvid.perturb.fill import gaussian_blur
from tfvid.perturb.pyramid import pyramid, shown


def masks(value, num_masks=1):
    return tf.fill((2, num_masks, 6, 8, 8), value)


def test_levels_of_blur():
    """sigma = 20 (1 - l/7): 20, 17.1, ... 2.9, 0."""
    clips = tf.constant(toy_models.clips(2))
    levels = pyramid(clips)
    assert levels.shape == (8, *clips.shape)
    np.testing.assert_allclose(levels[0], gaussian_blur(clips, 20.0), atol=1e-5)
    np.testing.assert_allclose(levels[6], gaussian_blur(clips, 20 / 7), atol=1e-5)
    np.testing.assert_array_equal(levels[7], clips)


@pytest.mark.parametrize("kind", ["blur", "fade"])
def test_the_ends_are_the_first_and_the_last_level(kind):
    clips = tf.constant(toy_models.clips(2))
    levels = pyramid(clips, kind)
    np.testing.assert_allclose(shown(levels, masks(0.0))[:, 0], levels[0], atol=1e-6)
    np.testing.assert_allclose(shown(levels, masks(1.0))[:, 0], clips, atol=1e-6)


def test_between_two_levels_by_hand():
    """Levels 0, 1 and 4 of one pixel: m = 1/4 lies half way from 0 to 1, m = 3/4 half way from 1 to 4."""
    levels = tf.reshape(tf.constant([0.0, 1.0, 4.0]), (3, 1, 1, 1, 1, 1))
    mask = tf.reshape(tf.constant([0.0, 0.25, 0.5, 0.75, 1.0]), (1, 5, 1, 1, 1))
    with tf.GradientTape() as tape:
        tape.watch(mask)
        values = shown(levels, mask)
        total = tf.reduce_sum(values)
    np.testing.assert_allclose(tf.reshape(values, [-1]), [0, 0.5, 1, 2.5, 4], atol=1e-6)
    slope = tf.reshape(tape.gradient(total, mask), [-1]).numpy()
    np.testing.assert_allclose(slope[[0, 1, 3, 4]], [2, 2, 6, 6])  # also at the ends, where masks are cut


def test_fade_is_the_clip_times_the_mask():
    clips = tf.constant(toy_models.clips(2))
    mask = np.random.default_rng(0).random((2, 3, 6, 8, 8), np.float32)
    np.testing.assert_allclose(shown(pyramid(clips, "fade"), mask), mask[..., None] * clips[:, None], atol=1e-6)


def test_refuses_what_is_no_pyramid():
    with pytest.raises(TfvidError, match="unknown perturbation 'blurr'; did you mean 'blur'"):
        pyramid(toy_models.clips(1), "blurr")
    with pytest.raises(TfvidError, match="expected num_levels >= 2 and max_blur > 0, got 1"):
        pyramid(toy_models.clips(1), num_levels=1)
