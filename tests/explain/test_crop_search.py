"""Crop search: on a model whose best crop is known, and against trying every crop by hand."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from keras import layers

from tfvid.core.errors import TfvidError
from tfvid.core.sampling import even_indices
from tfvid.explain.masks.crop_search import CropSearch, crop_windows
from tfvid.explain.masks.objective import total_variation
from tfvid.perturb.temporal import freeze, reverse


def test_crop_windows():
    expected = [[0, 1], [1, 2], [2, 3], [0, 2], [1, 3], [0, 3]]
    np.testing.assert_array_equal(crop_windows(3), expected)
    assert len(crop_windows(16)) == 136


@pytest.fixture(scope="module")
def brightness():
    """A model that is the surer of class 1 the brighter a clip is on average, and of class 0 the darker."""
    inputs = keras.Input((6, 2, 2, 1))
    mean = layers.GlobalAveragePooling3D()(inputs)
    head = layers.Dense(2, use_bias=False)
    model = keras.Model(inputs, head(mean))
    head.kernel.assign([[0.0, 4.0]])
    return model


def clip_of(*levels):
    return np.broadcast_to(np.float32(levels)[:, np.newaxis, np.newaxis, np.newaxis], (len(levels), 2, 2, 1))[
        np.newaxis
    ]


def test_the_brightest_crop(brightness):
    """Frames 2 to 4 are as bright as each alone: of equal crops the shortest, and the first."""
    clip = clip_of(0, 0.5, 1, 1, 1, 0)
    result = CropSearch(brightness)(clip, target=1)
    np.testing.assert_array_equal(result.window, [[2, 3]])
    np.testing.assert_array_equal(result.mask, [[0, 0, 1, 0, 0, 0]])
    np.testing.assert_allclose(result.score, [1 / (1 + np.exp(-4))], rtol=1e-5)
    np.testing.assert_array_equal(CropSearch(brightness)(clip, target=0).window, [[0, 1]])


def test_the_loss_is_that_of_a_freeze_mask(brightness):
    """Frozen at frame 2 the clip shows 0.5 there: (0 + 0.5 + 0.5 + 1 + 1 + 0) / 6 = 0.5."""
    result = CropSearch(brightness)(clip_of(0, 0.5, 1, 1, 1, 0), target=1)
    np.testing.assert_allclose(result.length_term, [0.01])
    np.testing.assert_allclose(result.variation_term, [0.02 * 4], rtol=1e-6)  # two inner differences, counted twice
    np.testing.assert_allclose(result.score_term, [1 / (1 + np.exp(-2))], rtol=1e-5)
    np.testing.assert_allclose(result.loss, result.length_term + result.variation_term + result.score_term, rtol=1e-6)
    np.testing.assert_array_equal(result.forward_passes, [21 + 2])


@pytest.mark.parametrize("perturbation", [freeze, reverse])
def test_against_trying_by_hand(perturbation):
    model, clips = toy_models.build("functional"), toy_models.clips(3)
    options = {"length_weight": 0.03, "variation_weight": 0.05, "variation": "paper", "variation_power": 1.0}
    result = CropSearch(model, perturbation, batch_size=2, **options)(clips, target=1)
    for i, clip in enumerate(clips):
        crops = {
            (start, stop): float(tf.nn.softmax(model(clip[np.newaxis, start + even_indices(stop - start, 6)]))[0, 1])
            for start, stop in itertools.combinations(range(7), 2)
        }
        assert result.score[i] == pytest.approx(max(crops.values()), abs=1e-5)
        assert crops[tuple(result.window[i])] == pytest.approx(max(crops.values()), abs=1e-5)
        mask = result.mask[i : i + 1]
        frozen = float(tf.nn.softmax(model(perturbation(clip[np.newaxis], mask)))[0, 1])
        cost = 0.03 * mask.sum() + 0.05 * float(total_variation(mask, "paper", 1.0)[0])
        assert result.loss[i] == pytest.approx(cost + frozen, abs=1e-5)
    assert (result.score >= result.original_score - 1e-5).all()


def test_bad_options(brightness):
    with pytest.raises(TfvidError, match="unknown variation 'papr'; did you mean 'paper'"):
        CropSearch(brightness, variation="papr")
    with pytest.raises(TfvidError, match="unknown perturbation 'freez'"):
        CropSearch(brightness, "freez")
    still = keras.Sequential([keras.Input((1, 2, 2, 1)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(TfvidError, match="2 frames or more, got clips of a single frame"):
        CropSearch(still)(clip_of(0.5))
