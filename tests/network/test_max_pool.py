"""3-D max-pools: the values of TensorFlow's, the gradient at the first maximum, whatever kernel the machine picks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from quick_explainers import METHODS, QUICK, arrays

from tfvid.explain import EXPLAINERS, explainer
from tfvid.models.i3d import I3D
from tfvid.network.classifier import Classifier
from tfvid.network.fast_layers import fast_layers
from tfvid.network.max_pool import first_maximum, max_pool3d


def pooled(x, window, strides, padding, arriving=None):
    """The outputs in float64, written as the definition; and the gradient at `x` of outputs weighted by `arriving`."""
    x = np.asarray(x, np.float64)
    sizes, first = [], []
    for size, side, step in zip(x.shape[1:4], window, strides, strict=True):
        out = (size - side) // step + 1 if padding == "VALID" else -(-size // step)
        sizes.append(out)
        first.append(0 if padding == "VALID" else max((out - 1) * step + side - size, 0) // 2)
    outputs, gradient = np.full((len(x), *sizes, x.shape[4]), -np.inf), np.zeros_like(x)
    for b, *place, c in np.ndindex(outputs.shape):
        winner = None
        for offset in np.ndindex(*window):
            at = [p * s - f + o for p, s, f, o in zip(place, strides, first, offset, strict=True)]
            inside = all(0 <= a < size for a, size in zip(at, x.shape[1:4], strict=True))
            if inside and (winner is None or x[(b, *at, c)] > x[winner]):
                winner = (b, *at, c)
        outputs[(b, *place, c)] = x[winner]
        if arriving is not None:
            gradient[winner] += arriving[(b, *place, c)]
    return outputs, gradient


def with_ties(shape, seed=0, levels=3):
    """Flat regions, a repeated frame, and values 5e-6 apart."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, levels, shape).astype(np.float32) + 5e-6 * rng.integers(0, 2, shape)
    x[:, 1::2] = x[:, : x.shape[1] // 2 * 2 : 2]
    return x.astype(np.float32)


def eager(run):
    return run


def compiled(run):
    return tf.function(run, autograph=False)


def in_a_loop(run):
    """Once in a `tf.while_loop`, where TensorFlow cannot use oneDNN's gradient of a 3-D pool."""

    def looped(x, arriving):
        body = lambda i, y, g: (i + 1, *run(x, arriving))  # noqa: E731
        start = run(x, arriving)
        return tf.while_loop(lambda i, *_: i < 1, body, (0, *(tf.zeros_like(part) for part in start)))[1:]

    return tf.function(looped, autograph=False)


def outputs_and_gradient(pool, x, arriving, way):
    def run(x, arriving):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = pool(x)
        return y, tape.gradient(y, x, arriving)

    outputs, gradient = way(run)(tf.constant(x), arriving)
    return np.asarray(tf.cast(outputs, tf.float64)), np.asarray(tf.cast(gradient, tf.float64))


POOLS = [((3, 3, 3), (1, 1, 1)), ((1, 3, 3), (1, 2, 2)), ((2, 2, 2), (2, 2, 2)), ((3, 1, 1), (2, 1, 1))]


@pytest.mark.parametrize("way", [eager, compiled, in_a_loop])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("window", "strides"), POOLS)
def test_outputs_and_gradients(window, strides, padding, dtype, way):
    x = tf.cast(with_ties((2, 5, 4, 6, 2)), dtype)
    x64 = tf.cast(x, tf.float64).numpy()
    arriving = np.random.default_rng(1).integers(1, 4, pooled(x64, window, strides, padding)[0].shape)
    ours = outputs_and_gradient(lambda x: max_pool3d(x, window, strides, padding), x, tf.cast(arriving, dtype), way)
    for mine, right in zip(ours, pooled(x64, window, strides, padding, arriving), strict=True):
        np.testing.assert_array_equal(mine, right)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.integers(1, 5)] * 3),
    st.tuples(*[st.integers(1, 3)] * 3),
    st.tuples(*[st.integers(1, 3)] * 3),
    st.sampled_from(["SAME", "VALID"]),
    st.integers(0, 99),
)
def test_any_window(size, window, strides, padding, seed):
    size = [max(side, least) for side, least in zip(size, window, strict=True)]
    x = with_ties((1, *size, 1), seed, levels=2)
    arriving = np.random.default_rng(seed).integers(1, 9, pooled(x, window, strides, padding)[0].shape)
    ours = outputs_and_gradient(
        lambda x: max_pool3d(x, window, strides, padding), x, tf.cast(arriving, tf.float32), eager
    )
    for mine, right in zip(ours, pooled(x, window, strides, padding, arriving), strict=True):
        np.testing.assert_array_equal(mine, right)


def test_by_hand():
    """A frozen clip of two frames, pooled over time: all of the gradient goes to the first frame."""
    x = tf.reshape([3.0, 3.0], (1, 2, 1, 1, 1))
    outputs, gradient = outputs_and_gradient(
        lambda x: max_pool3d(x, (2, 1, 1), 1, "VALID"), x, tf.ones((1,) * 5), eager
    )
    assert outputs.ravel().tolist() == [3.0] and gradient.ravel().tolist() == [1.0, 0.0]


def test_pool_after_pool():
    """Windows of the second pool hold one value of the first several times."""
    x, window = with_ties((1, 4, 5, 5, 1)), (3, 3, 3)
    first, _ = pooled(x, window, (1, 1, 1), "SAME")
    second, _ = pooled(first, window, (1, 1, 1), "SAME")
    _, at_first = pooled(first, window, (1, 1, 1), "SAME", np.ones_like(second))
    _, right = pooled(x, window, (1, 1, 1), "SAME", at_first)
    twice = lambda x: max_pool3d(max_pool3d(x, 3, 1, "SAME"), 3, 1, "SAME")  # noqa: E731
    ours = outputs_and_gradient(twice, x, tf.ones(second.shape), compiled)
    np.testing.assert_array_equal(ours[0], second)
    np.testing.assert_array_equal(ours[1], right)


def test_unknown_sizes():
    x = with_ties((2, 5, 4, 6, 2))
    specification = tf.TensorSpec((None, None, None, None, 2))
    pool = tf.function(lambda x: max_pool3d(x, 2, 2, "SAME"), [specification], autograph=False)
    np.testing.assert_array_equal(pool(x), tf.nn.max_pool3d(x, 2, 2, "SAME"))


CALLS = {
    "a layer": layers.MaxPooling3D(2),
    "keras.ops": lambda x: keras.ops.max_pool(x, 2),
    "tf.nn.max_pool": lambda x: tf.nn.max_pool(x, 2, 2, "VALID"),
    "tf.nn.max_pool3d": lambda x: tf.nn.max_pool3d(x, [1, 2, 2, 2, 1], [1, 2, 2, 2, 1], "VALID"),
    "tf.nn.pool": lambda x: tf.nn.pool(x, (2, 2, 2), "MAX", (2, 2, 2)),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_whoever_calls_the_pool(call):
    x = with_ties((1, 4, 4, 4, 2), levels=1)
    outputs, right = pooled(x, (2, 2, 2), (2, 2, 2), "VALID", np.ones((1, 2, 2, 2, 2)))
    with first_maximum():
        ours = outputs_and_gradient(call, x, tf.ones((1, 2, 2, 2, 2)), eager)
    np.testing.assert_array_equal(ours[0], outputs)
    np.testing.assert_array_equal(ours[1], right)


def test_other_pools_are_tensorflows_own():
    images, clips = tf.random.normal((1, 4, 4, 1)), tf.random.normal((1, 4, 4, 4, 1))
    plain = [
        tf.nn.max_pool(images, 2, 2, "VALID"),
        tf.nn.pool(images, (2, 2), "MAX", (2, 2)),
        tf.nn.pool(clips, (2, 2, 2), "AVG", (2, 2, 2)),
        tf.nn.pool(clips, (2, 2, 2), "MAX", dilations=(2, 1, 1)),
    ]
    with first_maximum():
        ours = [
            tf.nn.max_pool(images, 2, 2, "VALID"),
            tf.nn.pool(images, (2, 2), "MAX", (2, 2)),
            tf.nn.pool(clips, (2, 2, 2), "AVG", (2, 2, 2)),
            tf.nn.pool(clips, (2, 2, 2), "MAX", dilations=(2, 1, 1)),
        ]
    for mine, own in zip(ours, plain, strict=True):
        np.testing.assert_array_equal(mine, own)


def test_tensorflow_is_as_before_afterwards():
    stock = tf.nn.max_pool, tf.nn.max_pool3d, tf.nn.pool
    with pytest.raises(RuntimeError, match="within"), first_maximum(), first_maximum():
        assert tf.nn.max_pool3d is max_pool3d
        raise RuntimeError("within")
    assert (tf.nn.max_pool, tf.nn.max_pool3d, tf.nn.pool) == stock


@pytest.fixture
def float64():
    """Also the input of a model is float64."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


def test_finite_differences_of_a_whole_i3d(float64):
    """Along three directions. Its pools overlap, so windows hold one value twice on any clip."""
    whole = I3D(3, 8, (32, 32), width=0.1, dtype="float64")
    model = keras.Model(whole.input, whole.layers[-1].input)  # its logits are float32
    rng = np.random.default_rng(0)
    clip = tf.constant(rng.random((1, 8, 32, 32, 3)))
    weights = rng.normal(size=model.output_shape[1])

    def logit(clip):
        with fast_layers(model):
            return tf.tensordot(model(clip, training=False)[0], weights, 1)

    @tf.function(autograph=False)
    def both(clip):
        with tf.GradientTape() as tape:
            tape.watch(clip)
            value = logit(clip)
        return value, tape.gradient(value, clip)

    _, gradient = both(clip)
    for _ in range(3):
        direction = rng.normal(size=clip.shape)
        step = 1e-9 * direction
        difference = (both(clip + step)[0] - both(clip - step)[0]) / 2e-9
        np.testing.assert_allclose(tf.reduce_sum(gradient * direction), difference, rtol=1e-3)


class WrittenOut(layers.MaxPooling3D):
    """A pool of 2x2x2 at stride 1 that takes the first maximum of each window by its number."""

    def call(self, inputs):
        T, H, W = (side - 1 for side in inputs.shape[1:4])
        windows = [inputs[:, t : t + T, i : i + H, j : j + W] for t, i, j in np.ndindex(2, 2, 2)]
        windows = tf.stack(windows, axis=-1)
        top = tf.cast(windows == tf.reduce_max(windows, axis=-1, keepdims=True), tf.int32)
        first = (top == 1) & (tf.cumsum(top, axis=-1) == 1)
        return tf.reduce_sum(tf.where(first, windows, tf.zeros_like(windows)), axis=-1)


def network(pool):
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((4, 6, 6, 3)),
            layers.Conv3D(3, 3, padding="same", activation="relu"),
            pool(2, 1),
            pool(2, 1),
            layers.Conv3D(3, 1, activation="relu", name="last"),
            pool(2, 1),
            layers.GlobalAveragePooling3D(),
            layers.Dense(3),
        ]
    )


def frozen_clips():
    """Two clips; of the second every frame is the same, of the first all but one."""
    clips = np.repeat(np.random.default_rng(0).random((2, 1, 6, 6, 3), np.float32), 4, axis=1)
    clips[0, 2] = np.random.default_rng(1).random((6, 6, 3))
    return clips


# DeepLIFT's rule for a maximum is not its gradient, and a pool that is written out in other operations has their rules.
BY_RULES = {"deep_lift", "deep_shap"}
BY_GRADIENT = [name for name in METHODS if not EXPLAINERS.find(name).scores_only and name not in BY_RULES]
# They take gradients as others do: smooth_grad, integrated_gradients, grad_cam, and meaningful_perturbation.
LIKE_OTHERS = {
    "gradient_x_input",
    "smooth_grad_squared",
    "var_grad",
    "blur_ig",
    "grad_cam_plus_plus",
    "layer_cam",
    "contrastive_excitation_backprop",
    "meaningful_perturbation",
    "extremal_perturbation",
    "extremal_perturbation_3d",
    "step",
}


@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=pytest.mark.long) if name in LIKE_OTHERS else name for name in BY_GRADIENT]
)
def test_explainers(method):
    """Every method that uses gradients finds the same as with pools whose rule is written out."""
    options = QUICK.get(method, {}) | ({"layer": "last"} if "cam" in method else {})
    with_pools, written_out = (
        explainer(method, network(pool), **options)(frozen_clips()) for pool in (layers.MaxPooling3D, WrittenOut)
    )
    for name, value in arrays(written_out).items():
        scale = np.abs(value).max(initial=1e-2)
        np.testing.assert_allclose(arrays(with_pools)[name], value, atol=1e-4 * scale, rtol=1e-4, err_msg=name)


def test_training_gradients():
    """The gradients of the weights, as training takes them, on frozen clips."""
    gradients = []
    for pool in (layers.MaxPooling3D, WrittenOut):
        model = network(pool)
        with fast_layers(model), tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(frozen_clips(), training=True)[:, 0])
        gradients.append(tape.gradient(loss, model.trainable_weights))
    for mine, right in zip(*gradients, strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-4, atol=1e-5)


def test_no_3d_pool_is_left_in_what_an_explainer_traces():
    classifier = Classifier(network(layers.MaxPooling3D))
    classifier.prepare(tf.constant(frozen_clips()))
    traced = tf.function(classifier.logits, autograph=False).get_concrete_function(tf.constant(frozen_clips()))
    assert "MaxPool" in {op.type for op in traced.graph.get_operations()}
    assert "MaxPool3D" not in {op.type for op in traced.graph.get_operations()}
