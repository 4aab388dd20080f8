"""How alike two maps are, and methods in pairs."""

import numpy as np
import pytest
import scipy.stats

from tfvid.core.errors import TfvidError
from tfvid.metrics.agreement import spearman_matrix, top_iou_matrix
from tfvid.metrics.baselines import random_map
from tfvid.metrics.similarity import spearman, ssim, top_iou

SHAPE = (2, 3, 8, 8)


def noise(seed, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def map_of(*values):
    return np.array(values, np.float32).reshape(1, 1, 1, -1)


def test_spearman():
    np.testing.assert_allclose(spearman(map_of(1, 2, 3), map_of(1, 5, 2)), [0.5])  # 1 - 6 (0 + 1 + 1) / (3 * 8)
    first, second = noise(0), np.round(noise(1))  # with ties
    expected = [scipy.stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(spearman(first, second), expected, atol=1e-6)
    np.testing.assert_allclose(spearman(first, np.exp(first)), [1, 1])
    np.testing.assert_allclose(spearman(first, -first), [-1, -1])


def test_maps_that_rank_nothing():
    zeros = np.zeros(SHAPE)
    np.testing.assert_array_equal(spearman(zeros, noise(0)), [0, 0])
    np.testing.assert_array_equal(spearman(zeros, zeros + 3), [1, 1])
    np.testing.assert_array_equal(ssim(zeros, zeros + 3), [1, 1])
    assert np.isfinite(ssim(zeros, noise(0))).all()
    np.testing.assert_array_equal(top_iou(zeros, zeros + 3), [1, 1])
    assert (top_iou(zeros, noise(0)) < 0.5).all()


def test_ssim():
    """By hand for one window as large as the frame: the formula on weighted moments of maps from 0 to 1."""
    rng = np.random.default_rng(0)
    first, second = (x / x.max() for x in (rng.random((5, 5)) - 1e-9 for _ in range(2)))
    first, second = ((x - x.min()) / (x.max() - x.min()) for x in (first, second))
    bell = np.exp(-0.5 * ((np.arange(5) - 2) / 1.5) ** 2)
    weight = np.outer(bell, bell) / bell.sum() ** 2

    def mean(x):
        return np.sum(weight * x)

    a, b = mean(first), mean(second)
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * a * b + c1) / (a * a + b * b + c1)
    covariance, variances = mean(first * second) - a * b, mean(first**2 + second**2) - a * a - b * b
    expected = luminance * (2 * covariance + c2) / (variances + c2)
    frames = np.stack([second, first])[np.newaxis]
    result = ssim(np.stack([first, first])[np.newaxis], frames)
    np.testing.assert_allclose(result, [(expected + 1) / 2], rtol=1e-3)  # the mean over frames
    np.testing.assert_allclose(ssim(noise(0), 5 * noise(0) + 2), [1, 1], atol=1e-5)


def test_top_iou():
    first, second = map_of(9, 8, 7, 6, 0, 0, 0, 0), map_of(0, 8, 9, 0, 0, 0, 0, 7)
    np.testing.assert_allclose(top_iou(first, second, share=0.25), [1 / 3])  # 0 and 1 against 2 and 1
    np.testing.assert_allclose(top_iou(first, second, share=0.01), [0])  # one voxel at least
    np.testing.assert_allclose(top_iou(first, second, share=1), [1])
    values = [
        top_iou(random_map((1, 4, 16, 16), s), random_map((1, 4, 16, 16), s + 1), 0.1)[0] for s in range(0, 60, 2)
    ]
    assert np.mean(values) == pytest.approx(0.1 / 1.9, abs=0.01)  # as said of random orders


def test_matrices():
    maps = {"a": noise(0), "b": noise(1), "c": -noise(0)}
    for matrix, similarity in [(spearman_matrix(maps), spearman), (top_iou_matrix(maps), top_iou)]:
        assert matrix.shape == (2, 3, 3) and matrix.dtype == np.float32
        np.testing.assert_allclose(np.diagonal(matrix, axis1=1, axis2=2), np.ones((2, 3)))
        np.testing.assert_allclose(matrix, matrix.transpose(0, 2, 1), atol=1e-6)
        np.testing.assert_allclose(matrix[:, 0, 1], similarity(maps["a"], maps["b"]), atol=1e-6)
    np.testing.assert_allclose(spearman_matrix(maps)[:, 0, 2], [-1, -1])
    assert (top_iou_matrix(maps, share=1) == 1).all()


def test_what_does_not_fit():
    for call in (spearman, ssim, top_iou):
        with pytest.raises(TfvidError, match=r"of \(2, 3, 8, 8\), got float32 \(1, 3, 8, 8\)"):
            call(noise(0), noise(1)[:1])
        with pytest.raises(TfvidError, match="map of clip 0 has NaN"):
            call(noise(0) * np.nan, noise(1))
    with pytest.raises(TfvidError, match="none"):
        spearman_matrix({})
    for share in (0, 1.1):
        with pytest.raises(TfvidError, match="share of the voxels"):
            top_iou(noise(0), noise(1), share)
