"""Passes are counted where they happen: inside compiled graphs, loops and gradients."""

import numpy as np
import pytest
import tensorflow as tf
import toy_models

import tfvid
from tfvid.core.errors import ModelError
from tfvid.metrics.cost import cost, counted


def looping(steps):
    """An explainer, compiled whole: `steps` gradients in a loop, and one more run without."""

    def build(model):
        @tf.function
        def explain(clips):
            def step(n, total):
                with tf.GradientTape() as tape:
                    tape.watch(clips)
                    score = tf.reduce_sum(model(clips, training=False)[:, 0])
                return n + 1, total + tape.gradient(score, clips)

            total = tf.while_loop(lambda n, _: n < steps, step, (0, tf.zeros_like(clips)))[1]
            return total + tf.reduce_sum(model(clips, training=False))

        return explain

    return build


@pytest.mark.parametrize("model_name", ["functional", "subclassed", "mixed_precision", "sequential"])
def test_passes_in_a_compiled_loop(model_name):
    model, clips = toy_models.build(model_name), tf.constant(toy_models.clips(2))
    before, attributes = model(clips).numpy(), sorted(vars(model))
    result = cost(looping(5), model, clips)
    assert (result.forward_passes, result.backward_passes) == (6, 5)
    assert result.seconds > 0
    assert sorted(vars(model)) == attributes
    np.testing.assert_array_equal(model(clips).numpy(), before)


def test_grad_cam_and_its_chunks():
    model, clips = toy_models.build("functional"), toy_models.clips(3)
    result = cost(lambda model: tfvid.GradCAM(model, batch_size=2), model, clips, 1)
    assert (result.forward_passes, result.backward_passes) == (1, 1)


def test_crop_search_says_what_it_takes():
    """Its own count, of a Keras model and of a mere function."""
    model, clips = toy_models.build("functional"), toy_models.clips(2)
    own = tfvid.explainer("crop_search", model)(clips).forward_passes
    for one in (model, lambda clips: model(clips, training=False).numpy()):
        result = cost(lambda model: tfvid.explainer("crop_search", model), one, clips)
        assert result.forward_passes == own[0] and result.backward_passes == 0


def test_counting_changes_no_result():
    model, clips = toy_models.build("functional"), toy_models.clips(2)
    expected = tfvid.GradCAM(model)(clips).attribution
    with counted(model) as (counting, count):
        result = tfvid.GradCAM(counting)(clips).attribution
        assert count()[1] == 2
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_the_model_is_itself_again_after_an_error():
    model = toy_models.build("subclassed")
    attributes = sorted(vars(model))
    model.fail = True
    with pytest.raises(ModelError, match="told to fail"):
        cost(tfvid.GradCAM, model, toy_models.clips(1))
    model.fail = False
    assert sorted(vars(model)) == attributes
