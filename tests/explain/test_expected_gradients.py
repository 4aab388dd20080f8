"""Expected gradients by hand, against a float64 reference, and complete in the limit."""

import numpy as np
import pytest
from toy_pixels import PIXELS, WEIGHTS, head, power, smooth

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.expected_gradients import ExpectedGradients, draws

DATA = np.array([[0, 0, 0], [4, 1, 1]], np.float32).reshape(2, 1, 1, 3, 1)


def test_exact_on_a_linear_model_with_clips_as_baselines():
    """Every draw has w (x - x'); the mean baseline is (2, 0.5, 0.5), its score 2 w0 + .5 w1 + .5 w2 + 7 = 9."""
    result = ExpectedGradients(head(bias=(7.0, 0.0)), DATA, samples=4)(PIXELS, target=0)
    np.testing.assert_allclose(result.attribution.ravel(), [0 * 1, -1.5 * 1, 2.5 * -1], atol=1e-6)
    np.testing.assert_allclose(result.baseline_score, [9], rtol=1e-6)
    np.testing.assert_allclose(result.attributed, [-4], rtol=1e-6)
    np.testing.assert_allclose(result.completeness_gap, [0], atol=1e-5)


def test_a_cubic_model_against_the_equation_in_float64():
    """a = mean of (x - x') w 3 (x' + alpha (x - x'))^2."""
    result = ExpectedGradients(head(power(3)), DATA, samples=7, seed=5)(PIXELS, target=1)
    order, alphas = draws(2, 7, 5)
    x, start = PIXELS.ravel().astype(np.float64), DATA.reshape(2, 3).astype(np.float64)[order]
    place = start + alphas.astype(np.float64)[:, np.newaxis] * (x - start)
    expected = ((x - start) * WEIGHTS[:, 1] * 3 * place**2).mean(axis=0)
    np.testing.assert_allclose(result.attribution.ravel(), expected, rtol=2e-5, atol=1e-5)
    rise = (x**3 @ WEIGHTS[:, 1]) - (start**3 @ WEIGHTS[:, 1]).mean()
    np.testing.assert_allclose(result.completeness_gap, [expected.sum() - rise], rtol=1e-4, atol=1e-3)


def test_the_gap_closes_with_the_samples():
    model, clips = smooth()
    data = np.random.default_rng(1).random((5, *clips.shape[1:]), np.float32)
    few, many = (ExpectedGradients(model, data, samples=samples)(clips, 1) for samples in (5, 400))
    assert np.abs(many.completeness_gap).max() < 0.1 * np.abs(many.score - many.baseline_score).max()
    assert np.abs(many.completeness_gap).max() < np.abs(few.completeness_gap).max()


def test_the_seed_decides_and_each_baseline_is_drawn_equally_often():
    model, clips = smooth()
    maps = [ExpectedGradients(model, samples=3, seed=seed)(clips, 1).attribution for seed in (0, 0, 1)]
    np.testing.assert_array_equal(maps[0], maps[1])
    assert np.abs(maps[0] - maps[2]).max() > 1e-3
    order, alphas = draws(3, 8, 0)
    assert sorted(np.bincount(order)) == [2, 3, 3]
    assert ((alphas >= 0) & (alphas < 1)).all()


def test_bad_options():
    with pytest.raises(TfvidError, match="got 3 baselines and samples=0"):
        ExpectedGradients(head(), samples=0)
    with pytest.raises(TfvidError, match="unknown baseline 'black'"):
        ExpectedGradients(head(), "black")
    with pytest.raises(TfvidError, match=r"expected float clips \(N, 1, 1, 3, 1\), as those explained, got float32"):
        ExpectedGradients(head(), DATA[:, :, :, :2])(PIXELS)
