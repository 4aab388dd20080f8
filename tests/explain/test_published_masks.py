"""Extremal perturbations with the published weights, against their formulas written out in float64.

The formulas are those of TorchRay and of Li et al.'s code: dense matrices, no neighbourhoods, no cells, real sorting.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfvid.core.errors import TfvidError
from tfvid.explain.masks.extremal_perturbation import ExtremalPerturbation
from tfvid.explain.masks.extremal_perturbation_3d import ExtremalPerturbation3D
from tfvid.explain.masks.step import STEP, core_loss
from tfvid.perturb.fill import gaussian_blur

T, H, W = 6, 12, 12
STEP_PIXELS, SIGMA, BLUR, LEVELS = 2, 2.0, 3.0, 8
MARGIN = 2  # SIGMA in whole cells of STEP_PIXELS
CORE = (3, 5, 5)
ITERATIONS, RATE = 120, 0.1
# Shares of the canvas that the class needs: without a need, the published shuffle alone says what is shown.
AREAS = {ExtremalPerturbation: (0.1, 0.15), ExtremalPerturbation3D: (0.1,), STEP: (0.05,)}
CLIP = np.random.default_rng(3).random((T, H, W, 3))
# The class lives on the brightness of a box of 5 x 5 pixels that moves, in three frames most.
WEIGHT = np.zeros((T, H, W, 3))
for frame, weight in enumerate((0.1, 1.0, 1.0, 1.0, 0.1, 0.1)):
    WEIGHT[frame, 3:8, 1 + frame : 6 + frame] = weight
BIAS = -(WEIGHT * CLIP).sum() + 0.5  # p = 0.62 for the clip as it is


@pytest.fixture(scope="module")
def model():
    dense = layers.Dense(2)
    model = keras.Sequential([keras.Input((T, H, W, 3)), layers.Flatten(), dense])
    dense.set_weights([np.stack([0 * WEIGHT.ravel(), WEIGHT.ravel()], 1), np.array([0, BIAS])])
    return model


def generated(grid):
    """Grids `(A, T, h, w)` to masks with their margin: m(u) = smax_i k(|u - u_i| / sigma) g_i, over all points i."""
    points = STEP_PIXELS * np.arange(grid.shape[-1]) + (STEP_PIXELS - 1) / 2
    pixels = np.arange(-MARGIN, H + MARGIN)
    along = (pixels[:, None] - points) ** 2
    distance = np.sqrt(along[:, None, :, None] + along[None, :, None, :])  # (H', W', h, w)
    kernel = np.exp(-2 * np.maximum(0, distance / SIGMA - 0.5) ** 2)
    s = kernel.reshape(len(pixels) ** 2, -1) * tf.reshape(grid, (*grid.shape[:2], 1, -1))
    masks = tf.reduce_sum(s * tf.nn.softmax(20 * s), axis=-1)
    return tf.reshape(masks, (*grid.shape[:2], len(pixels), len(pixels)))


def levels():
    """The clip blurred by 3 (1 - l / 7) pixels, zeros outside, the Gaussian cut at 4 sigma."""
    found = []
    for level in range(LEVELS - 1):
        sigma = BLUR * (1 - level / (LEVELS - 1))
        offset = np.arange(H)[:, None] - np.arange(H)
        weight = np.exp(-(offset**2) / (2 * sigma**2)) * (abs(offset) <= np.ceil(4 * sigma))
        taps = np.arange(-np.ceil(4 * sigma), np.ceil(4 * sigma) + 1)
        matrix = weight / np.exp(-(taps**2) / (2 * sigma**2)).sum()
        found.append(np.einsum("yh,xw,thwc->tyxc", matrix, matrix, CLIP))
    return np.stack([*found, CLIP])


def falling(values, seed):
    """Rows of values from the largest to the smallest, those that are equal to rounding in a random order."""
    order = tf.argsort(tf.random.stateless_uniform(values.shape, (seed, 7)), axis=-1)
    values = tf.gather(values, order, batch_dims=1)
    order = tf.argsort(tf.round(values * 1e5), axis=-1, direction="DESCENDING", stable=True)
    return tf.gather(values, order, batch_dims=1)


def area_term(values, area, seed):
    """mean((sort(m) - r_a)^2) of rows of values."""
    count = values.shape[-1]
    reference = np.arange(count) < count - int(count * (1 - area))
    return tf.reduce_mean((falling(values, seed) - reference) ** 2)


def core_term(masks, area, seed):
    """The means over ellipsoids of 3 x 5 x 5, every 5 pixels: k are drawn to 1, the mean apart from the others'."""
    axes = np.meshgrid(*[np.linspace(-1, 1, side) for side in CORE], indexing="ij")
    ball = sum(axis**2 for axis in axes) <= 1
    cores = tf.stack(
        [
            tf.reduce_mean(masks[t : t + 3, y : y + 5, x : x + 5][ball])
            for t in range(masks.shape[0] - 2)
            for y in range(0, masks.shape[1] - 4, 5)
            for x in range(0, masks.shape[2] - 4, 5)
        ]
    )
    k = int(np.ceil(area * np.prod(masks.shape) / int(np.prod(CORE) * 0.5236)))
    cores = falling(cores[None], seed)[0]
    return tf.reduce_mean((cores[:k] - 1) ** 2) + tf.reduce_mean(cores[k:] ** 2)


def transcribed(method):
    """The masks after all steps of gradient descent, without their margin, `(A, T, H, W)`."""
    pyramid, areas = levels(), AREAS[method]
    grid = tf.ones((len(areas), T, H // STEP_PIXELS, W // STEP_PIXELS), tf.float64)
    velocity = None

    @tf.function
    def gradient(grid, weight, core_weight, seed):
        with tf.GradientTape() as tape:
            tape.watch(grid)
            loss, full = tf.constant(0.0, tf.float64), generated(grid)
            for i, area in enumerate(areas):
                place = full[i, :, MARGIN:-MARGIN, MARGIN:-MARGIN] * (LEVELS - 1)
                low = tf.cast(tf.math.floor(place), tf.int32)
                high = tf.minimum(low + 1, LEVELS - 1)
                share = (place - tf.cast(low, tf.float64))[..., None]
                t, y, x = np.meshgrid(np.arange(T), np.arange(H), np.arange(W), indexing="ij")
                lower, upper = (tf.gather_nd(pyramid, tf.stack([n, t, y, x], -1)) for n in (low, high))
                shown = (1 - share) * lower + share * upper
                logit = tf.reduce_sum(shown * WEIGHT) + BIAS
                reward = -tf.math.log(tf.sigmoid(logit)) * (1 if method is STEP else 100)
                rows = (T, -1) if method is ExtremalPerturbation else (1, -1)
                loss += reward + weight * area_term(tf.reshape(full[i], rows), area, seed)
                if method is STEP:
                    loss += core_weight * core_term(full[i], area, seed)
        return tape.gradient(loss, grid)

    for step in range(ITERATIONS):
        weight = 300 * (1.0008668**step if method is STEP else 1)
        g = gradient(grid, *tf.constant([weight, 300.0 * (step >= 20)], tf.float64), tf.constant(step))
        velocity = g if velocity is None else 0.9 * velocity + 0.1 * g
        grid = tf.clip_by_value(grid - RATE * velocity, 0, 1)
    return generated(grid)[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN].numpy()


@pytest.mark.long
@pytest.mark.parametrize("method", [ExtremalPerturbation, ExtremalPerturbation3D, STEP])
def test_masks_with_published_weights_are_those_of_the_published_formulas(model, method):
    options = {"core_after": 20, "core_frames": CORE[0], "core_size": CORE[1]} if method is STEP else {}
    explain = method(
        model,
        AREAS[method],
        weights="published",
        step=STEP_PIXELS,
        sigma=SIGMA,
        max_blur=BLUR,
        num_levels=LEVELS,
        iterations=ITERATIONS,
        learning_rate=RATE,
        **options,
    )
    ours, theirs = explain(CLIP[None].astype(np.float32), 1).masks[0], transcribed(method)
    for own, other in zip(ours, theirs, strict=True):
        assert own.shape == other.shape == (T, H, W)
        assert np.corrcoef(own.ravel(), other.ravel())[0, 1] >= 0.95
    assert theirs.std() > 0.1  # there is something to correlate


def test_the_weights_of_each_method(model):
    for method, published in (
        (ExtremalPerturbation, (100, 300, 1)),
        (ExtremalPerturbation3D, (100, 300, 1)),
        (STEP, (1, 300, 1.0008668)),
    ):
        assert method(model).weights == (1, 300, 1.0008668)
        assert method(model, weights="published").weights == published
        assert method(model, weights="published", area_weight=7.0).weights == (published[0], 7, published[2])
        with pytest.raises(TfvidError, match="unknown weights 'publisht'; did you mean 'published'"):
            method(model, weights="publisht")


def test_the_published_loss_of_cores_by_hand():
    """Of cores .9 .5 .5 0, two drawn to 1: .9 is, each .5 half the time. (.01 + .25) / 2 + (.25 + 0) / 2."""
    cores = tf.constant([[[0.5, 0.9, 0.0, 0.5]]])
    np.testing.assert_allclose(core_loss(cores, [2]), [[0.255]], rtol=1e-6)
    np.testing.assert_allclose(core_loss(cores, [4]), [[(0.25 + 0.01 + 1 + 0.25) / 4]], rtol=1e-6)  # no others


def test_a_blur_with_zeros_outside():
    """One pixel of a row: exp(-2 d^2) over the sum of all taps, 2 on each side, also where they lie outside."""
    frame = np.zeros((1, 1, 1, 3, 1), np.float32)
    frame[0, 0, 0, 0] = 1
    taps = np.exp(-2.0 * np.arange(-2, 3) ** 2)
    expected = taps[2] / taps.sum() * taps[2:] / taps.sum()
    blurred = gaussian_blur(tf.constant(frame), 0.5, "zeros")
    np.testing.assert_allclose(blurred[0, 0, 0, :, 0], expected, rtol=1e-5)
