"""Efficient and smooth parameter randomization, by hand on maps that are given."""

import keras
import numpy as np
import pytest
from keras import layers

from tfvid.core.errors import TfvidError
from tfvid.metrics.randomization import efficient_mprt, histogram_entropy, smooth_mprt
from tfvid.metrics.sanity import sanity_check

CLIPS = np.random.default_rng(0).random((2, 2, 4, 4, 3), np.float32)


@pytest.fixture
def model():
    dense = [layers.Dense(units, use_bias=False) for units in (5, 2)]
    model = keras.Sequential([keras.Input((2, 4, 4, 3)), layers.Flatten(), *dense])
    for layer in dense:
        layer.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in layer.get_weights()])
    return model


def test_entropy_of_the_histogram_by_hand():
    """Half of the values in one bin, a quarter in two others: 1.5 log 2. Equal values: 0."""
    maps = np.array([[0, 0, 1, 3], [7, 7, 7, 7]], np.float32).reshape(2, 1, 2, 2)
    np.testing.assert_allclose(histogram_entropy(maps, 10), [1.5 * np.log(2), 0], rtol=1e-6)


def test_the_rise_from_trained_to_random_weights(model):
    """A trained map of two values, log 2; a random map of four values, log 4: the rise is 1."""
    learned = [weight.numpy().copy() for weight in model.weights]

    def explain(model, clips):
        changed = [not np.array_equal(now.numpy(), then) for now, then in zip(model.weights, learned, strict=True)]
        assert all(changed) or not any(changed)
        return np.resize([0, 1, 2, 3] if all(changed) else [0, 1], (2, 2, 4, 4))

    np.testing.assert_allclose(efficient_mprt(model, CLIPS, explain), [1, 1], rtol=1e-6)
    for now, then in zip(model.weights, learned, strict=True):
        np.testing.assert_array_equal(now.numpy(), then)


def test_smoothing_averages_noise_out(model):
    """Maps of noise of their own around one picture: layer by layer they differ, and their mean does not."""
    rng = np.random.default_rng(2)

    def noisy(model, clips):
        return CLIPS.mean(axis=-1) + rng.normal(0, 1, (2, 2, 4, 4))

    plain = sanity_check(model, CLIPS, noisy)
    smooth = smooth_mprt(model, CLIPS, noisy, samples=2000)
    assert smooth.layers == plain.layers and len(smooth.layers) == 2
    assert plain.spearman.mean() < 0.5 < 0.9 < smooth.spearman.mean()


def test_without_noise_it_is_the_plain_check(model):
    def explain(model, clips):
        return np.resize(model.layers[1].kernel.numpy(), (2, 2, 4, 4))

    smooth, plain = smooth_mprt(model, CLIPS, explain, samples=2, noise=0.0), sanity_check(model, CLIPS, explain)
    np.testing.assert_allclose(smooth.spearman, plain.spearman)


def test_bad_options(model):
    with pytest.raises(TfvidError, match="expected samples >= 1 and noise >= 0, got 0 and 0.1"):
        smooth_mprt(model, CLIPS, None, samples=0)
    with pytest.raises(TfvidError, match="expected bins >= 2, got 1"):
        histogram_entropy(np.ones((1, 1, 2, 2)), 1)


def test_entropy_of_quantus():
    functions = pytest.importorskip("quantus.functions.complexity_func")
    maps = np.random.default_rng(3).normal(size=(3, 4, 6, 5)).astype(np.float32)
    theirs = [functions.discrete_entropy(a=clip, x=clip) for clip in maps.astype(np.float64)]
    np.testing.assert_allclose(histogram_entropy(maps), theirs, rtol=1e-5)
