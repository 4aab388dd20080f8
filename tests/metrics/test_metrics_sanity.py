"""Weights are destroyed layer by layer and come back, whatever happens."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from keras import layers

import tfvid
from tfvid.core.errors import ModelError, TfvidError
from tfvid.metrics.sanity import sanity_check, weighted_layers

LONG = [pytest.param(name, marks=pytest.mark.long) for name in toy_models.BUILDS if name != "subclassed"]


def weights(model):
    return [w.numpy().copy() for w in model.weights]


def grey(model, clips):
    """An explanation that never asks the model."""
    return np.asarray(clips).mean(axis=-1)


def kernel_of_first(model, clips):
    """An explanation that shows some of the first layer's kernel."""
    kernel = model.get_layer("first").get_weights()[0]
    return np.tile(np.resize(kernel, (1, 1, 4, 4)), (len(clips), 1, 1, 1))


def sequential(*bodies):
    model = keras.Sequential([keras.Input((2, 4, 4, 3)), *bodies])
    keras.utils.set_random_seed(0)
    for layer in model.layers:
        layer.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in layer.get_weights()])
    return model


def three_layers():
    return sequential(layers.Conv3D(4, 2, name="first"), layers.Flatten(), layers.Dense(3, name="last"))


def test_layers_come_from_the_scores_down():
    model = toy_models.build("nested")
    found = weighted_layers(model, toy_models.clips(1))
    assert list(found) == ["top/head", "backbone/norm", "backbone/conv"]
    assert [len(weights) for weights in found.values()] == [2, 4, 2]
    assert sum(len(weights) for weights in found.values()) == len(model.weights)


@pytest.mark.parametrize("model_name", list(toy_models.BUILDS))
def test_every_weight_belongs_to_one_layer(model_name):
    model = toy_models.build(model_name)
    found = [id(weight) for weights in weighted_layers(model, toy_models.clips(1)).values() for weight in weights]
    assert sorted(found) == sorted(id(weight) for weight in model.weights if "float" in weight.dtype)


def test_a_shared_layer_has_the_place_of_its_last_run():
    norm, inputs = layers.BatchNormalization(name="norm"), keras.Input((2, 4, 4, 3))
    x = norm(layers.Conv3D(4, 1, name="first")(inputs))
    x = norm(layers.Conv3D(4, 1, name="second")(x))
    model = keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x)))
    clips = np.ones((1, 2, 4, 4, 3), np.float32)
    assert list(weighted_layers(model, clips)) == ["head", "norm", "second", "first"]


def test_cascading_and_independent_by_what_the_weights_are_meanwhile():
    model, clips, seen = three_layers(), np.ones((2, 2, 4, 4, 3), np.float32), []

    def explain(model, clips):
        seen.append([model.get_layer(name).get_weights()[0] for name in ("last", "first")])
        return np.random.default_rng(len(seen)).random((2, 2, 4, 4))

    for order, last_stays in (("cascading", False), ("independent", True)):
        seen.clear()
        result = sanity_check(model, clips, explain, order=order)
        assert result.layers == ("last", "first")
        learned, one, two = seen
        assert not np.array_equal(one[0], learned[0]) and np.array_equal(one[1], learned[1])
        assert np.array_equal(two[0], learned[0]) == last_stays and not np.array_equal(two[1], learned[1])
        for changed in (one[0], two[1]):  # the same values, in another order
            kernel = learned[0] if changed is one[0] else learned[1]
            np.testing.assert_array_equal(np.sort(changed.ravel()), np.sort(kernel.ravel()))


def test_similarity_by_layer():
    model, clips = three_layers(), np.ones((2, 2, 4, 4, 3), np.float32)
    result = sanity_check(model, clips, kernel_of_first)
    assert result.spearman.shape == result.ssim.shape == (2, 2) and result.spearman.dtype == np.float32
    np.testing.assert_allclose(result.spearman[0], 1)  # the last layer's weights do not show
    assert (np.abs(result.spearman[1]) < 0.6).all() and (result.ssim[1] < 0.6).all()
    rows = result.rows()
    assert [row["layer"] for row in rows] == ["last", "first"]
    assert rows[1] == {
        "layer": "first",
        "spearman": pytest.approx(result.spearman[1].mean()),
        "ssim": pytest.approx(result.ssim[1].mean()),
    }
    np.testing.assert_array_equal(sanity_check(model, clips, kernel_of_first).spearman, result.spearman)
    other = sanity_check(model, clips, kernel_of_first, seed=1)
    assert not np.array_equal(other.spearman, result.spearman)


def test_an_explanation_that_does_not_ask_the_model_is_found_out():
    result = sanity_check(toy_models.build("subclassed"), toy_models.clips(2), grey)
    np.testing.assert_allclose(result.spearman, np.ones((3, 2)), atol=1e-6)
    np.testing.assert_allclose(result.ssim, np.ones((3, 2)), atol=1e-6)


@pytest.mark.parametrize("model_name", ["subclassed", *LONG])
def test_grad_cam_on_every_build(model_name):
    """The explainer, compiled once, sees the weights change; afterwards model and maps are as they were."""
    model, clips = toy_models.build(model_name), toy_models.clips(2)
    before, grad_cam = weights(model), tfvid.GradCAM(model)
    maps = grad_cam(clips, 1).attribution
    for order in ("cascading", "independent"):
        result = sanity_check(model, clips, lambda _, clips: grad_cam(clips, 1).attribution, order=order)
        assert np.isfinite(result.spearman).all() and np.isfinite(result.ssim).all()
        assert result.spearman[-1].mean() < 0.9
    assert grad_cam.traces == 1
    for now, then in zip(weights(model), before, strict=True):
        np.testing.assert_array_equal(now, then)
    np.testing.assert_allclose(grad_cam(clips, 1).attribution, maps, atol=1e-2 if "mixed" in model_name else 1e-5)


@pytest.mark.parametrize("order", ["cascading", "independent"])
def test_the_weights_come_back_after_an_error(order):
    model, calls = toy_models.build("subclassed"), []
    before = weights(model)

    def explain(model, clips):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return grey(model, clips)

    with pytest.raises(KeyboardInterrupt):
        sanity_check(model, toy_models.clips(1), explain, order=order)
    for now, then in zip(weights(model), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_what_does_not_fit():
    model, clips = toy_models.build("functional"), toy_models.clips(1)
    with pytest.raises(TfvidError, match="unknown order 'cascade'; did you mean 'cascading'"):
        sanity_check(model, clips, grey, order="cascade")
    with pytest.raises(ModelError, match="expected a Keras model"):
        sanity_check(lambda clips: clips, clips, grey)
    inputs = keras.Input(toy_models.SHAPE)
    bare = keras.Model(inputs, layers.Lambda(lambda x: tf.reduce_mean(x, axis=(1, 2, 3)))(inputs))
    with pytest.raises(ModelError, match="without any"):
        sanity_check(bare, clips, grey)
    with pytest.raises(TfvidError, match="map of clip 0 has NaN"):
        sanity_check(model, clips, lambda model, clips: grey(model, clips) * np.nan)
