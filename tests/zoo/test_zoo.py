"""Models as people build them have, in tfvid, the scores and gradients of plain TensorFlow.

Three models are quick, the others are `long`. `MODELS` needs no third-party package.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from zoo.architectures import MODELS, Case, clips_of

import tfvid

QUICK_MODELS = ("cnn_rnn", "vivit", "slow_fast")
ALL = [name if name in QUICK_MODELS else pytest.param(name, marks=pytest.mark.long) for name in MODELS]


@functools.cache
def built(name) -> Case:
    keras.utils.set_random_seed(0)
    return MODELS[name]()


def plain_gradient(case, clips, target):
    """The largest absolute gradient over colours of the score of `target`, by one tape."""
    clips = tf.constant(clips)
    with tf.GradientTape() as tape:
        tape.watch(clips)
        scores = case.score(clips)
        score = tf.gather(scores, target, batch_dims=1)
        total = tf.reduce_sum(score)
    return score.numpy(), np.abs(tape.gradient(total, clips)).max(axis=-1)


@pytest.mark.parametrize("name", ALL)
def test_scores_and_gradients_are_those_of_a_plain_tape(name):
    case = built(name)
    clips = clips_of(case)
    result = tfvid.Gradient(case.described())(clips)
    score, gradient = plain_gradient(case, clips, result.target)
    np.testing.assert_allclose(result.score, score, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result.attribution, gradient, rtol=1e-4, atol=1e-4 * gradient.max())
    assert gradient.max() > 0


@pytest.mark.parametrize(
    "name", [name for name in ALL if getattr(name, "values", (name,)) != ("conv_lstm_next_frame",)]
)
def test_the_score_is_the_models_own_prediction(name):
    case = built(name)
    clips = clips_of(case)
    result = tfvid.Gradient(case.described())(clips)
    predicted = case.net.predict(tf.nest.map_structure(np.asarray, case.inputs(clips)), verbose=0)
    if name == "multi_label":
        predicted = np.log(predicted / (1 - predicted))
    if name == "per_frame":
        predicted = predicted[:, 2:6].mean(axis=1)
    np.testing.assert_allclose(result.score, predicted[np.arange(2), result.target], rtol=1e-4, atol=1e-4)
