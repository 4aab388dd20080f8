"""The same numbers from other libraries, where they are installed and can take the input; see `docs/attribution.md`.

xplique ranks pixels of whatever shape lies between batch and channels, so clips go in as they are; where it wants
images, frames are put below one another. Quantus compares maps with masks of any shape.
"""

import numpy as np
import pytest
import tensorflow as tf
import toy_models

import tfvid
from tfvid.metrics.faithfulness.imputation import impute
from tfvid.metrics.faithfulness.scorer import Scorer
from tfvid.metrics.localization import inside_boxes
from tfvid.metrics.similarity import ssim

CLIPS = toy_models.clips(2)
MAPS = np.random.default_rng(1).random(CLIPS.shape[:4], np.float32)  # no two values alike
TARGET = np.array([2, 0])
BOXES = np.array([[[[1.0, 2.0, 5.0, 7.0]]] * 6, [[[0.0, 0.0, 3.0, 3.0]], [[4.0, 4.0, 8.0, 8.0]]] * 3])
INSIDE = inside_boxes(BOXES, 8, 8)


@pytest.fixture
def model():
    return toy_models.build("softmax")


@pytest.mark.parametrize("name, fill", [("Insertion", "fade"), ("Deletion", "fade"), ("Insertion", "mean")])
def test_insertion_and_deletion_of_xplique(model, name, fill):
    xplique = pytest.importorskip("xplique.metrics")
    colour = CLIPS.mean(axis=(1, 2, 3), keepdims=True) + 0 * CLIPS
    baseline = 0.0 if fill == "fade" else (lambda clips: colour)
    one_hot = np.eye(3, dtype=np.float32)[TARGET]
    theirs = getattr(xplique, name)(model, CLIPS, one_hot, baseline_mode=baseline, steps=32)
    flat = MAPS.reshape(len(MAPS), -1)  # maps of rank 4 it takes for maps with channels
    ours = getattr(tfvid.metrics, name.lower())(model, CLIPS, MAPS, TARGET, baseline=fill, steps=32)
    assert ours.mean() == pytest.approx(theirs(flat), abs=1e-5)


@pytest.mark.parametrize("name, ours", [("AverageDropMetric", "average_drop"), ("AverageIncreaseMetric", "increase")])
def test_average_drop_and_increase_of_xplique(model, name, ours):
    xplique = pytest.importorskip("xplique.metrics")
    maps = MAPS - MAPS.min(axis=(1, 2, 3), keepdims=True)  # it stretches maps to start at zero

    def of_images(images):
        return model(np.reshape(images, (-1, *CLIPS.shape[1:])), training=False)

    images = CLIPS.reshape(len(CLIPS), -1, *CLIPS.shape[3:])
    one_hot = np.eye(3, dtype=np.float32)
    measure = getattr(xplique, name)
    for target in range(3):
        theirs = measure(of_images, images, one_hot[[target, target]])(maps.reshape(images.shape[:3]))
        values = getattr(tfvid.metrics, ours)(Scorer(model), CLIPS, maps, target)
        assert values.mean() == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("name, ours", [("RelevanceMassAccuracy", "energy_in_box"), ("PointingGame", "pointing_game")])
def test_maps_in_boxes_of_quantus(name, ours):
    quantus = pytest.importorskip("quantus")
    measure = getattr(quantus, name)(disable_warnings=True)
    if name == "PointingGame":  # frame by frame
        frames = [measure.evaluate_batch(a_batch=m, s_batch=s) for m, s in zip(MAPS, INSIDE, strict=True)]
        expected = np.mean(frames, axis=1)
        values = tfvid.metrics.pointing_game(MAPS, BOXES, margin=0)
        assert 0 < expected.mean() < 1
    else:
        expected = measure.evaluate_batch(a_batch=MAPS, s_batch=INSIDE)
        values = getattr(tfvid.metrics, ours)(MAPS, BOXES)
    np.testing.assert_allclose(values, expected, atol=1e-6)


def test_the_most_relevant_voxels_of_quantus():
    """Its share r of right ones among as many as the box has is an intersection over union of r / (2 - r)."""
    quantus = pytest.importorskip("quantus")
    r = quantus.RelevanceRankAccuracy(disable_warnings=True).evaluate_batch(a_batch=MAPS, s_batch=INSIDE)
    np.testing.assert_allclose(tfvid.metrics.spatio_temporal_iou(MAPS, BOXES), r / (2 - r), atol=1e-6)


def test_max_sensitivity_of_quantus(model):
    """With the same draws, and clips turned to images with channels first, one below the other."""
    quantus = pytest.importorskip("quantus")
    images = CLIPS.reshape(len(CLIPS), -1, *CLIPS.shape[3:]).transpose(0, 3, 1, 2)
    noises = iter(tf.random.stateless_uniform(CLIPS.shape[1:], (0, n), -0.02, 0.02).numpy() for n in range(3))

    def explain(clips):
        with tf.GradientTape() as tape:
            tape.watch(clips := tf.convert_to_tensor(clips))
            score = model(clips, training=False)[:, 1]
        return tf.reduce_sum(tape.gradient(score, clips), axis=-1).numpy()

    def moved(arr, indices, **_):
        noise = next(noises).reshape(-1, *CLIPS.shape[3:]).transpose(2, 0, 1)
        return arr + noise.ravel()

    def explain_images(model, inputs, targets):
        maps = explain(inputs.transpose(0, 2, 3, 1).reshape(CLIPS.shape))
        return maps.reshape(len(maps), 1, *images.shape[2:])

    measure = quantus.MaxSensitivity(nr_samples=3, perturb_func=moved, disable_warnings=True)
    measure.explain_func, measure.explain_func_kwargs = explain_images, {}
    maps = explain(CLIPS)
    expected = measure.evaluate_batch(model=model, x_batch=images, y_batch=TARGET, a_batch=maps)
    values = tfvid.metrics.max_sensitivity(model, CLIPS, maps, 1, explain=explain, samples=3)
    assert (expected > 0.001).all()
    np.testing.assert_allclose(values, expected, rtol=1e-3)


def test_average_precision_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for _ in range(20):
        relevance = rng.integers(0, 4, 9)  # with ties
        start, stop = np.sort(rng.choice(10, 2, replace=False))
        maps = np.tile(relevance[np.newaxis, :, np.newaxis, np.newaxis], (1, 1, 2, 2))
        expected = metrics.average_precision_score((np.arange(9) >= start) & (np.arange(9) < stop), relevance)
        assert tfvid.metrics.average_precision(maps, [[start, stop]])[0] == pytest.approx(expected, abs=1e-6)


def test_ssim_of_scikit_image():
    similarity = pytest.importorskip("skimage.metrics").structural_similarity
    first, second = np.random.default_rng(0).random((2, 1, 2, 20, 24), np.float32)
    first[0, 0, :2, 0] = second[0, 0, :2, 0] = [0, 1]  # maps from 0 to 1 already
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    expected = np.mean([similarity(first[0, t], second[0, t], **options) for t in range(2)])
    np.testing.assert_allclose(ssim(first, second), [expected], atol=1e-4)


@pytest.mark.parametrize("name, ours", [("Sparseness", "sparseness"), ("Complexity", "complexity")])
def test_concentration_of_quantus(name, ours):
    quantus = pytest.importorskip("quantus")
    flat = np.abs(MAPS).reshape(len(MAPS), 1, -1, 1)
    expected = getattr(quantus, name)(disable_warnings=True).evaluate_batch(x_batch=flat, a_batch=flat)
    np.testing.assert_allclose(getattr(tfvid.metrics.complexity, ours)(MAPS), expected, rtol=1e-4)


def test_noisy_linear_imputation_of_quantus():
    """One frame with a third of its pixels hidden; its noise is drawn otherwise, so it is turned off in both."""
    pytest.importorskip("quantus")
    from quantus.functions.perturb_func import noisy_linear_imputation

    frame = np.random.default_rng(0).random((3, 12, 14)).astype(np.float32)
    hidden = np.random.default_rng(1).permutation(12 * 14)[:56]
    theirs = noisy_linear_imputation(arr=frame.copy(), indices=hidden, noise=0.0)
    mask = np.isin(np.arange(12 * 14), hidden).reshape(1, 12, 14)
    ours = impute(frame.transpose(1, 2, 0)[np.newaxis], mask, noise=0)
    np.testing.assert_allclose(ours[0].transpose(2, 0, 1), theirs, atol=1e-4)
