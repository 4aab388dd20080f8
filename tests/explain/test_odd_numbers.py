"""Numbers at the edge: NaN, infinity, saturation, maps of nothing; and gradients held against float64 differences."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from odd_models import SHAPE, assert_answers, clips_of, explain, network
from quick_explainers import METHODS

from tfvid.core.errors import DataError, ModelError, TfvidError
from tfvid.explain import explainer
from tfvid.explain.masks.area_masks import area_loss
from tfvid.explain.masks.meaningful_perturbation import spatial_variation
from tfvid.explain.masks.objective import Objective
from tfvid.explain.masks.stem import Mixtures
from tfvid.metrics import METRICS, OF_BOXES, OF_EVENTS, OF_MODEL
from tfvid.metrics.blobs import blob_statistics
from tfvid.metrics.classification import in_top_k, scores
from tfvid.metrics.faithfulness.scorer import Scorer
from tfvid.metrics.masks import drop_ratio
from tfvid.metrics.similarity import spearman, ssim, top_iou
from tfvid.network.classifier import Classifier
from tfvid.perturb.temporal import freeze_matrix, mix, reverse_matrix

# Scores ---------------------------------------------------------------------------------------------------------------


def with_weight(value, layer="conv", **options):
    """A network one of whose weights is `value`."""
    model = network(**options)
    kernel = model.get_layer(layer).kernel.numpy()
    kernel.flat[0] = value
    model.get_layer(layer).kernel.assign(kernel)
    return model


@pytest.mark.parametrize("method", METHODS)
def test_nan_weights_are_refused(method):
    """Whatever the model answers: a ReLU that is computed together with its convolution makes 0 of NaN."""
    with pytest.raises(ModelError, match="weight 'conv/kernel' has NaN values"):
        explain(method, with_weight(np.nan), clips_of(SHAPE))


SOME = ("gradient", "grad_cam", "saliency_tubes", "rise")


@pytest.mark.parametrize(
    "method", [name if name in SOME else pytest.param(name, marks=pytest.mark.long) for name in METHODS]
)
def test_scores_that_overflow_are_refused(method):
    model = with_weight(3e38, "head")
    model.get_layer("conv").bias.assign(np.full(4, 10.0))
    assert not np.isfinite(model(clips_of(SHAPE)).numpy()).all()
    with pytest.raises(ModelError, match=r"NaN or infinite"):
        explain(method, model, clips_of(SHAPE))


def test_the_clip_that_overflows_is_named():
    """And no other class is taken for the top one, as an argmax that passes over NaN would."""

    def answers(clips):
        with np.errstate(divide="ignore"):
            return np.stack([1 / (clips.mean((1, 2, 3, 4)) - 0.5), np.ones(len(clips))], -1)

    clips = clips_of(SHAPE, 3)
    clips[1] = 0.5
    with pytest.raises(ModelError, match=r"clip 1: the explanation's .* \(1 of 3\)"):
        explain("occlusion", answers, clips, output="logits")


def test_a_class_that_is_ruled_out_by_minus_infinity_does_no_harm():
    def answers(clips):
        first = clips.mean((1, 2, 3, 4))
        return np.stack([first, np.full_like(first, -np.inf), 0 * first], -1)

    assert_answers(explain("rise", answers, clips_of(SHAPE), output="logits"), 3)


class SoftmaxInCall(keras.Model):
    """A softmax that cannot be left out, and is saturated: (0, 0, 1) exactly."""

    def __init__(self):
        super().__init__()
        self.network = network()
        self.network.get_layer("head").bias.assign([0, 0, 500])

    def call(self, inputs):
        return keras.ops.softmax(self.network(inputs))


@pytest.mark.parametrize(
    "method",
    [
        *("gradient", "gradient_x_input", "smooth_grad", "integrated_gradients", "guided_backprop"),
        *("grad_cam", "grad_cam_plus_plus", "layer_cam", "occlusion", "lime", "kernel_shap", "shapley"),
    ],
)
def test_a_saturated_softmax_has_maps_of_zeros(method):
    result = explain(method, SoftmaxInCall(), clips_of(SHAPE))
    np.testing.assert_array_equal(result.predicted, [2, 2])
    # Without oneDNN TensorFlow's softmax is 1 less a rounding error in some rows, which a linear fit passes on.
    rounding = np.finfo(np.float32).eps if method in ("lime", "kernel_shap") else 0
    np.testing.assert_allclose(result.attribution, 0, atol=rounding)


def test_a_saturated_softmax_layer_is_left_out():
    """The same network with the softmax as its last layer has a logit, and that a gradient."""
    model = network(head="softmax")
    model.get_layer("head").bias.assign([0, 0, 500])
    np.testing.assert_array_equal(model(clips_of(SHAPE)), [[0, 0, 1]] * 2)
    result = explain("gradient", model, clips_of(SHAPE))
    plain = explain("gradient", network(), clips_of(SHAPE), output="logits")
    assert (result.attribution.max(axis=(1, 2, 3)) > 0).all() and plain.attribution.shape == result.attribution.shape


# Measures -------------------------------------------------------------------------------------------------------------

MAPS = {
    "zeros": lambda shape: np.zeros(shape),
    "equal": lambda shape: np.ones(shape),
    "negative": lambda shape: -np.random.default_rng(0).random(shape),
    "up to the largest float32": lambda shape: 3e38 * np.random.default_rng(0).uniform(-1, 1, shape),
    "too small to be normal": lambda shape: 1e-40 * np.random.default_rng(0).random(shape),
    "yes or no": lambda shape: np.random.default_rng(0).random(shape) > 0.5,
    "one voxel": lambda shape: np.arange(np.prod(shape)).reshape(shape) == 1,
}
SHAPES = [(6, 8, 8), (1, 8, 8), (2, 1, 8), (3, 1, 1)]
SHORT = {
    **{name: {"steps": 5} for name in ("insertion", "deletion")},
    "infidelity": {"samples": 4},
    "max_sensitivity": {"samples": 2},
}


@pytest.fixture(scope="module")
def scorers():
    return {shape: Scorer(network((*shape, 3))) for shape in SHAPES}


def asked(name, shape, maps, scorer):
    """The measure called `name` of maps of two clips, the second without a box or an event."""
    measure = METRICS.find(name)
    if name in OF_BOXES:
        boxes = np.zeros((2, shape[0], 1, 4))
        boxes[..., 2:] = 1
        boxes[1] = np.nan
        return measure(maps, boxes)
    if name in OF_EVENTS:
        return measure(maps, np.array([[0, 1], [-1, -1]]))
    options = SHORT.get(name, {}) | ({"explain": lambda clips: maps} if name == "max_sensitivity" else {})
    return measure(scorer, clips_of((*shape, 3)), maps, 0, **options)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", MAPS)
def test_every_measure_has_an_answer_for_every_map(kind, shape, scorers):
    """In its range, without a warning; maps that are equal everywhere have what chance gives, or know nothing."""
    maps = MAPS[kind]((2, *shape))
    with warnings.catch_warnings(action="error"):
        values = {name: asked(name, shape, maps, scorers[shape]) for name in METRICS}
        other = MAPS["one voxel"]((2, *shape))
        alike = {measure.__name__: measure(maps, other) for measure in (spearman, ssim, top_iou)}
        blobs = blob_statistics(maps).count
    for name, value in values.items():
        assert value.dtype == np.float32 and value.shape == (2,), name
        assert ((value >= 0) & (value <= 1)).all(), name
        if name in OF_BOXES + OF_EVENTS:
            assert value[1] == 0, name  # neither box nor event
    for name, value in alike.items():
        assert ((value >= -1) & (value <= 1)).all(), name
    assert np.isfinite(blobs).all()
    if kind in ("zeros", "equal"):
        np.testing.assert_allclose(values["temporal_pointing"][0], 1 / shape[0])
        np.testing.assert_allclose(values["max_sensitivity"], 0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e300])
def test_maps_that_are_not_finite_in_float32_are_refused(wrong, scorers):
    shape = SHAPES[0]
    maps = np.zeros((2, *shape))
    maps[1, 0, 0, 0] = wrong
    with warnings.catch_warnings(action="error"):
        for name in METRICS:
            with pytest.raises(TfvidError, match="the map of clip 1 has NaN or infinite values"):
                asked(name, shape, maps, scorers[shape])
        with pytest.raises(TfvidError, match="finite maps .*got NaN or infinite values"):
            blob_statistics(maps)
    with pytest.raises(TfvidError, match="got shape"):
        blob_statistics(maps[:, :0])


@pytest.mark.parametrize("name", [name for name in OF_MODEL if name != "max_sensitivity"])
def test_measures_refuse_a_model_of_nan_or_infinite_scores(name):
    for value, message in ((np.nan, "has NaN values"), (np.inf, "returns NaN for a changed clip")):
        with pytest.raises(ModelError, match=message):
            asked(name, SHAPE[:3], np.ones((2, *SHAPE[:3])), Scorer(with_weight(value)))


@pytest.mark.parametrize("target", [0, 2])
def test_measures_of_a_saturated_model(target):
    """The class has a probability of 0 or 1 whatever is shown: nothing rises, nothing falls."""
    model, shape = network(head="softmax"), SHAPE[:3]
    model.get_layer("head").bias.assign([0, 0, 500])
    for name in OF_MODEL:
        options = SHORT.get(name, {}) | ({"explain": lambda clips: np.ones((2, *shape))} if "max" in name else {})
        value = METRICS.find(name)(model, clips_of(SHAPE), np.ones((2, *shape)), target, **options)
        np.testing.assert_array_equal(value, target == 2 if name in ("insertion", "deletion", "road") else 0, name)


def test_answers_that_are_nan_are_not_ranked():
    logits = np.array([[3.0, 1, 2], [np.nan, 1, 2]])
    for measure in (lambda: scores(logits, np.array([0, 2])), lambda: in_top_k(logits, np.array([0, 2]), 1)):
        with pytest.raises(DataError, match=r"the scores of clip 1 are NaN \(1 of 2"):
            measure()
    with pytest.raises(DataError, match="one clip or more, got none"):
        scores(logits[:0], np.zeros(0, int))
    assert scores(np.array([[np.inf, 1, -np.inf]]), np.array([0]))["top_1"] == 1


def test_drop_ratio_of_whole_numbers():
    ratio, kept = drop_ratio(np.array([1, 1]), np.array([0, 1]), np.array([0, 0]))
    np.testing.assert_array_equal(ratio, [1, 0])
    np.testing.assert_array_equal(kept, [True, False])


# Gradients, held against central differences in float64 ---------------------------------------------------------------

SMALL = (3, 3, 4, 1)


@pytest.fixture(scope="module")
def smooth():
    """A double model without a kink, so that differences tell its gradient."""
    inputs = keras.Input(SMALL, dtype="float64")
    x = layers.Conv3D(2, 3, padding="same", activation="tanh", dtype="float64", name="conv")(inputs)
    x = layers.Flatten(dtype="float64")(x)
    model = keras.Model(inputs, layers.Dense(3, dtype="float64", name="head")(x))
    rng = np.random.default_rng(0)
    for layer in (model.get_layer("conv"), model.get_layer("head")):
        layer.kernel.assign(rng.normal(0, 0.5, layer.kernel.shape))
    return model


def differences(function, x, step=1e-5):
    """The gradient of `function`, `(N, ...)` to `(N,)` in float64, at one `x`, by central differences."""
    x = np.asarray(x, np.float64)
    steps = step * np.eye(x.size).reshape(x.size, *x.shape)
    return ((function(x + steps) - function(x - steps)) / (2 * step)).reshape(x.shape)


def assert_close(found, wanted):
    """Float32 against float64: alike to a hundred-thousandth of the largest value."""
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def logit(model, target):
    return lambda x: model(x).numpy()[:, target]


def test_gradients_at_the_pixels(smooth):
    clips = clips_of(SMALL)
    wanted = np.stack([differences(logit(smooth, t), clip) for t, clip in zip((0, 2), clips, strict=True)])[..., 0]
    targets, signed = np.array([0, 2]), {"reduce": "sum"}

    def maps(method, **options):
        return explainer(method, smooth, **signed | options)(clips, targets).attribution

    assert_close(maps("gradient"), wanted)
    assert_close(maps("gradient", reduce="abs_max"), np.abs(wanted))
    assert_close(maps("gradient_x_input"), wanted * clips[..., 0])
    assert_close(maps("smooth_grad", noise=0.0, samples=2), wanted)
    assert_close(maps("smooth_grad_squared", noise=0.0, samples=2), wanted**2)
    assert np.abs(maps("var_grad", noise=0.0, samples=2)).max() <= 1e-10 * np.abs(wanted).max()


def test_integrated_gradients_by_quadrature(smooth):
    clip = clips_of(SMALL, 1)
    result = explainer("integrated_gradients", smooth, steps=256)(clip, 1)
    places, weights = np.polynomial.legendre.leggauss(12)
    along = sum(
        weight / 2 * differences(logit(smooth, 1), (place + 1) / 2 * clip[0])
        for place, weight in zip(places, weights, strict=True)
    )
    assert_close(result.attribution[0], (clip[0] * along)[..., 0])
    assert abs(result.completeness_gap[0]) < 1e-4


def relu(x):
    return np.maximum(x, 0)


def test_gradients_at_the_features(smooth):
    """Grad-CAM, Grad-CAM++ and LayerCAM by their equations, from differences at the features."""
    clip = clips_of(SMALL, 1)
    conv, head = smooth.get_layer("conv"), smooth.get_layer("head")
    A = np.asarray(conv(tf.constant(clip, tf.float64)))[0]  # (T, H, W, K)
    W, b = np.asarray(head.kernel)[:, 1], float(head.bias[1])
    g = differences(lambda features: features.reshape(len(features), -1) @ W + b, A)
    alpha = 1 / (2 + relu(A).sum((1, 2), keepdims=True) * relu(g))
    wanted = {
        "grad_cam": relu((g.mean((1, 2), keepdims=True) * A).sum(-1)),
        "grad_cam_plus_plus": relu(((alpha * relu(g)).sum((1, 2), keepdims=True) * A).sum(-1)),
        "layer_cam": relu((relu(g) * A).sum(-1)),
    }
    for method, native in wanted.items():
        assert_close(explainer(method, smooth, layer="conv")(clip, 1).native[0], native)


def frozen(x, m):
    """The published recurrence, for masks `(N, T)` and one clip `(T, ...)`: `(N, T, ...)`."""
    p = [np.broadcast_to(x[0], (len(m), *x[0].shape))]
    for t in range(1, len(x)):
        share = m[:, t].reshape(-1, *[1] * (x.ndim - 1))
        p.append((1 - share) * x[t] + share * p[-1])
    return np.stack(p, axis=1)


def reversed_runs(x, m, threshold=0.1):
    """Frames of each run swapped with their mirror images by the share of the first of the two."""
    result = np.repeat(x[np.newaxis], len(m), axis=0).astype(np.float64)
    for n, mask in enumerate(m):
        runs = np.split(np.arange(len(mask)), np.flatnonzero(np.diff(mask > threshold)) + 1)
        for run in (run for run in runs if mask[run[0]] > threshold):
            for a, b in zip(run[: len(run) // 2], run[::-1], strict=False):
                w = mask[a]
                result[n, a], result[n, b] = (1 - w) * x[a] + w * x[b], w * x[a] + (1 - w) * x[b]
    return result


MASK = np.array([0.3, 0.7, 0.02, 0.6, 0.9, 0.4, 0.05])  # two runs


@pytest.mark.parametrize("matrix, perturbed", [(freeze_matrix, frozen), (reverse_matrix, reversed_runs)])
def test_gradients_at_the_mask(matrix, perturbed):
    rng = np.random.default_rng(0)
    clip, weights = rng.random((7, 2, 3, 1)), rng.normal(size=(7, 2, 3, 1))
    mask = tf.constant(MASK[np.newaxis], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(mask)
        value = tf.reduce_sum(mix(tf.constant(clip[np.newaxis], tf.float32), matrix(mask)) * weights.astype(np.float32))

    def of_mask(m):
        return (perturbed(clip, m) * weights).sum((1, 2, 3, 4))

    np.testing.assert_allclose(value, of_mask(MASK[np.newaxis])[0], rtol=1e-5)
    assert_close(tape.gradient(value, mask)[0], differences(of_mask, MASK))


@pytest.mark.parametrize("perturbation, perturbed", [("freeze", frozen), ("reverse", reversed_runs)])
@pytest.mark.parametrize("variation", ["published", "paper"])
def test_gradient_of_the_papers_loss(perturbation, perturbed, variation):
    """Eq. 1 for a softmax over a linear layer, all of it computed again in NumPy."""
    rng = np.random.default_rng(0)
    clip, W = rng.random((7, 2, 2, 1)), rng.normal(size=(28, 3))
    model = keras.Sequential([keras.Input(clip.shape), layers.Flatten(), layers.Dense(3, activation="softmax")])
    model.layers[-1].kernel.assign(W)
    clips, mask = tf.constant(clip[np.newaxis], tf.float32), tf.constant(MASK[np.newaxis], tf.float32)
    classifier = Classifier(model)
    classifier.prepare(clips)
    objective = Objective(perturbation, length_weight=0.1, variation_weight=0.3, variation=variation)
    with tf.GradientTape() as tape:
        tape.watch(mask)
        loss = objective(Mixtures(classifier, None, clips), mask, tf.constant([1])).loss

    def again(m):
        z = perturbed(clip, m).reshape(len(m), -1) @ W
        p = np.exp(z[:, 1]) / np.exp(z).sum(-1)
        d = np.abs(np.diff(m, axis=1)) ** 3
        changes = d.sum(1) if variation == "paper" else 2 * d.sum(1) - d[:, 0] - d[:, -1]
        return 0.1 * np.abs(m).sum(1) + 0.3 * changes + p

    np.testing.assert_allclose(loss[0], again(MASK[np.newaxis])[0], rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(loss, mask)[0], differences(again, MASK), atol=1e-5)


def test_gradients_of_penalties_in_space():
    rng = np.random.default_rng(0)
    grid = rng.random((1, 2, 3, 4))
    with tf.GradientTape() as tape:
        x = tf.constant(grid, tf.float32)
        tape.watch(x)
        value = spatial_variation(x, 3.0)
    down, right = (lambda g, axis=axis: (np.abs(np.diff(g, axis=axis)) ** 3).sum((2, 3)) for axis in (2, 3))
    assert_close(tape.gradient(value, x)[0], differences(lambda g: (down(g) + right(g)).mean(1), grid[0]))

    masks, areas = rng.permutation(24).reshape(1, 2, 12) / 24, (0.25, 0.5)  # no two alike: the order has no kink here
    with tf.GradientTape() as tape:
        x = tf.constant(masks, tf.float32)
        tape.watch(x)
        value = area_loss(x, areas)
    ideal = np.stack([np.arange(12) >= 12 - round(12 * area) for area in areas])

    def of_masks(m):
        return ((np.sort(m, axis=-1) - ideal) ** 2).mean(-1).sum(-1)

    np.testing.assert_allclose(tf.reduce_sum(value), of_masks(masks)[0], rtol=1e-5)
    assert_close(tape.gradient(value, x)[0], differences(of_masks, masks[0]))
