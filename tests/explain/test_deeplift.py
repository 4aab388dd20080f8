"""DeepLIFT and DeepSHAP: worked by hand, completeness for every kind of layer, captum's maps on copied weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from keras import layers
from test_lrp import BODIES, attention

from tfvid.core.errors import ModelError, TfvidError
from tfvid.explain.deeplift.explainer import DeepLIFT, DeepSHAP


def pixels(net, values, **options):
    clips = np.array(values, np.float32).reshape(1, -1, 1, 1, 1)
    return DeepLIFT(net, output="logits", **options)(clips, 1).attribution.ravel()


def functional(make, frames=2):
    """Clips of `frames` frames of one grey pixel; class 1 has the score `make(pixels)`."""
    inputs = keras.Input((frames, 1, 1, 1))
    score = make(layers.Flatten()(inputs))
    return keras.Model(inputs, layers.Concatenate()([0.0 * score, score]))


def total(x, weights=(1.0, 1.0)):
    return keras.ops.sum(x * np.array(weights, np.float32), axis=-1, keepdims=True)


def test_rescale_by_hand():
    """relu(2 x1 - x2 - 0.5) at (1, 0.5) rises from 0 to 1, its input from -0.5 to 1: multipliers (2, -1) / 1.5."""
    net = functional(lambda x: keras.ops.relu(total(x, (2.0, -1.0)) - 0.5))
    np.testing.assert_allclose(pixels(net, [1, 0.5]), [4 / 3, -1 / 3], rtol=1e-5)


def test_gelu_is_one_activation():
    net = functional(lambda x: keras.activations.gelu(total(x, (2.0, -1.0))))
    rise = keras.activations.gelu(np.float32(1.5)).numpy()
    np.testing.assert_allclose(pixels(net, [1, 0.5]), [2 * rise / 1.5, -0.5 * rise / 1.5], rtol=1e-5)


def test_products_by_hand():
    """x1 x2 between (0.5, 0.5) and (1, 0.25): 0.5 * 0.375 and -0.25 * 0.75; their sum is 0.25 - 0.25."""
    net = functional(lambda x: x[:, :1] * x[:, 1:])
    expected = [0.5 * 0.375, -0.25 * 0.75]
    np.testing.assert_allclose(pixels(net, [1, 0.25], baseline=lambda x: tf.zeros_like(x) + 0.5), expected, rtol=1e-5)


def test_a_maximum_goes_to_the_clips_maximum_or_from_the_baselines():
    net = functional(lambda x: keras.ops.max(x, axis=-1, keepdims=True))

    def other(clips):
        return tf.zeros_like(clips) + tf.reshape(tf.constant([0.75, 0.0]), (1, 2, 1, 1, 1))

    np.testing.assert_allclose(pixels(net, [0.5, 1], baseline=other), [0, 0.25], atol=1e-6)
    np.testing.assert_allclose(pixels(net, [0.5, 0.25], baseline=other), [-0.25, 0], atol=1e-6)


def test_softmax_by_hand():
    """First of two values (x1, 0): y = e / (e + 1), all of the change is x1's."""
    net = functional(lambda x: keras.ops.softmax(x * np.array([1.0, 0.0], np.float32))[:, :1])
    np.testing.assert_allclose(pixels(net, [1, 0.5]), [np.e / (np.e + 1) - 0.5, 0], atol=1e-6)


def test_a_linear_model_is_gradient_times_change():
    net = functional(lambda x: total(x, (3.0, -2.0)) / 4.0)
    np.testing.assert_allclose(pixels(net, [1, 0.5]), [0.75, -0.25], rtol=1e-6)


@pytest.mark.parametrize("name", [*BODIES, "attention", "layer_norm", "softmax", "biases"])
def test_completeness(name):
    """The sum is the difference of the scores, with biases, for each baseline."""
    keras.utils.set_random_seed(2)
    body = {
        "attention": lambda: [layers.Conv3D(6, (6, 4, 4), strides=(6, 4, 4)), layers.Reshape((4, 6)), attention()],
        "layer_norm": lambda: [layers.Dense(5), layers.LayerNormalization(), layers.Dense(4, activation="gelu")],
        "softmax": lambda: [layers.Dense(5), layers.Softmax()],
        "biases": lambda: toy_models._body()[:-2],
    }
    net = keras.Sequential([keras.Input(toy_models.SHAPE), *(BODIES | body)[name](), layers.Flatten(), layers.Dense(3)])
    for weight in net.weights:
        if weight.name in ("bias", "beta"):
            weight.assign(np.random.default_rng(4).normal(0, 0.2, weight.shape))
    for baseline in ("fade", "blur"):
        result = DeepLIFT(net, baseline)(toy_models.clips(2), 1)
        change = result.score - result.baseline_score
        np.testing.assert_allclose(result.score, net(toy_models.clips(2))[:, 1], atol=1e-5)
        np.testing.assert_allclose(result.attributed, change, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(result.attribution.sum(axis=(1, 2, 3)), change, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(result.completeness_gap, result.attributed - change, atol=1e-6)
        assert np.abs(change).max() > 1e-3


def test_deep_shap_is_the_mean_of_deep_lift():
    net, clips, others = toy_models.build("functional"), toy_models.clips(2), toy_models.clips(3, seed=9)
    shap = DeepSHAP(net, others, samples=5)(clips, 1)
    each = [DeepLIFT(net, lambda x, b=b: tf.zeros_like(x) + b)(clips, 1) for b in others]
    np.testing.assert_allclose(shap.attribution, np.mean([one.attribution for one in each], axis=0), atol=1e-5)
    np.testing.assert_allclose(shap.baseline_score, net(others).numpy()[:, 1].mean(), atol=1e-4)
    np.testing.assert_allclose(shap.completeness_gap, 0, atol=1e-4)
    assert len(DeepSHAP(net, others, samples=2, seed=1).baselines) == 2


def test_what_is_refused():
    net, clips = toy_models.build("functional"), toy_models.clips(2)
    with pytest.raises(TfvidError, match="unknown baseline 'black'"):
        DeepLIFT(net, "black")
    with pytest.raises(TfvidError, match="unknown baseline 'black'"):
        DeepSHAP(net, ["fade", "black"])
    with pytest.raises(TfvidError, match="expected 1 baseline or more, got 0"):
        DeepSHAP(net, [])
    with pytest.raises(TfvidError, match=r"expected float clips \(N, 6, 8, 8, 3\), .* got float32 \(2, 4, 8, 8, 3\)"):
        DeepSHAP(net, clips[:, :4])(clips)

    class Powers(layers.Layer):
        def call(self, x):
            return tf.math.cumprod(x, axis=1)

    odd = keras.Sequential([keras.Input(toy_models.SHAPE), Powers(name="mine"), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(
        ModelError, match=r"^layer 'mine' \(Powers\): DeepLIFT has no rule for its operation Cumprod; use"
    ):
        DeepLIFT(odd)(clips)


PAIRS = np.array([[3.0, 1.0], [-1.0, 1.0]]), np.array([[0.0, 2.0], [3.0, 2.0]])  # clips of two frames, baselines


@pytest.mark.parametrize("pool_first", [False, True])
def test_a_maximum_by_hand(pool_first):
    """The rise from 2 to 3 goes to the clip's maximum, frame 0; the fall from 3 to 1 to the baseline's, frame 0.

    captum 0.9 has the same maps for a pool behind a convolution. Behind a ReLU it has (3, 0) and (0, -1), the ordinary
    gradient, which do not sum to 1 and -2.
    """
    relu, pool = layers.ReLU(), layers.MaxPooling3D((2, 1, 1))
    conv, head = layers.Conv3D(1, 1, kernel_initializer="ones"), layers.Dense(2, kernel_initializer="ones")
    middle = [pool, relu] if pool_first else [relu, pool]
    net = keras.Sequential([keras.Input((2, 1, 1, 1)), conv, *middle, layers.Flatten(), head])
    clips, baselines = (np.float32(values).reshape(2, 2, 1, 1, 1) for values in PAIRS)
    result = DeepLIFT(net, lambda x: tf.constant(baselines), input_range=None)(clips, 1)
    np.testing.assert_allclose(result.attribution.reshape(2, 2), [[1, 0], [-2, 0]], atol=1e-5)


def test_maxima_of_overlapping_windows_by_hand():
    """Frame 1 is the maximum of both windows, with the weights 1 and 2: it rises by 3 and adds 9.

    captum 0.9 keeps the last window alone: 6.
    """
    net = keras.Sequential(
        [keras.Input((3, 1, 1, 1)), layers.MaxPooling3D((2, 1, 1), 1), layers.Flatten(), layers.Dense(2)]
    )
    net.layers[-1].set_weights([np.array([[0.0, 1.0], [0.0, 2.0]]), np.zeros(2)])
    result = DeepLIFT(net, input_range=None)(np.float32([1, 3, 2]).reshape(1, 3, 1, 1, 1), 1)
    np.testing.assert_allclose(result.attribution.ravel(), [0, 9, 0], atol=1e-5)


def test_maps_equal_those_of_captum_without_maximum_pooling():
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install tfvid[peers]")
    captum = pytest.importorskip("captum.attr", reason="captum is not installed: pip install tfvid[peers]")
    from test_lrp_peers import ours_and_theirs

    (model, net), clips = ours_and_theirs("Avg"), toy_models.clips(2)

    def theirs(baseline):
        first = [torch.from_numpy(x.transpose(0, 4, 1, 2, 3).copy()) for x in (clips, baseline)]
        return captum.DeepLift(net).attribute(*first, target=1).detach().numpy().sum(axis=1)

    for seed in (5, 6):
        baseline = toy_models.clips(2, seed)
        ours, expected = DeepLIFT(model, lambda x, b=baseline: tf.constant(b))(clips, 1).attribution, theirs(baseline)
        difference = np.abs(ours - expected).max() / np.abs(expected).max()
        print(f"largest difference {difference:.1e} of the largest attribution")
        assert difference < 1e-4
