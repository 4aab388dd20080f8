"""LIME over the parts of a clip."""

import numpy as np
import pytest
import toy_models
from toy_scores import CLIP, PLAINLY, linear, pixels

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.lime import LIME, draw, nearness, weighted_ridge


def test_nearness_by_hand():
    """A quarter of the segments is at cosine distance 1/2, none at 1."""
    z = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]], bool)
    np.testing.assert_allclose(nearness(z, 0.25), [1, np.exp(-4), np.exp(-16)])


def test_ridge_by_hand():
    """Sxx = Sxy = .5: w = .5 / (.5 + .5), b = .5 - .5 w, and residuals of a quarter leave .125 of .5."""
    w, b, fit = weighted_ridge(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]), np.ones(2), 0.5)
    np.testing.assert_allclose([w[0], b, fit], [0.5, 0.25, 0.75])


def test_ridge_is_the_closed_form():
    """The penalised normal equations, with a column of ones for the intercept that has no penalty."""
    rng = np.random.default_rng(0)
    x, y, weight = rng.random((30, 5)), rng.random(30), rng.random(30)
    design = np.column_stack([np.ones(30), x])
    penalty = np.diag([0, *[2.0] * 5])
    expected = np.linalg.solve(design.T @ (weight[:, None] * design) + penalty, design.T @ (weight * y))
    w, b, _ = weighted_ridge(x, y, weight, 2.0)
    np.testing.assert_allclose([b, *w], expected, rtol=1e-9)
    assert weighted_ridge(x, np.ones(30), weight, 1.0)[2] == 1  # a constant is told in full


def test_a_linear_model_is_recovered():
    """The score is 1 x0 - 2 x1 + 3 x2 over (1, 2, 3, 4): frames are worth 1 - 4 and 9, and black is worth 0."""
    result = LIME(linear([1, -2, 3, 0]), "frames", samples=20, ridge=0, **PLAINLY)(CLIP, 0)
    np.testing.assert_allclose(result.values, [[-3, 9]], atol=1e-4)
    np.testing.assert_allclose(result.attribution, [[[[-3, -3]], [[9, 9]]]], atol=1e-4)
    np.testing.assert_allclose([result.intercept[0], result.fit[0]], [0, 1], atol=1e-4)
    np.testing.assert_array_equal(result.forward_passes, [21])


def test_a_penalty_shrinks():
    free, held = (LIME(linear([1, -2, 3, 0]), "frames", samples=50, ridge=r, **PLAINLY)(CLIP, 0) for r in (0, 10))
    assert (np.abs(held.values) < np.abs(free.values)).all()
    assert held.fit < free.fit


def test_what_is_not_linear_shows_in_the_fit():
    """x0 x3 on or off: no linear model tells it, and the segments it does not use are worth nothing."""
    both = pixels(lambda x: x[:, 0] * x[:, 3])
    result = LIME(both, (2, 1, 2), samples=4000, ridge=0, batch_size=1000, **PLAINLY)(CLIP, 0)
    assert 0.5 < result.fit[0] < 0.95
    np.testing.assert_allclose(result.values[0, 1:3], 0, atol=0.15)
    assert (result.values[0, [0, 3]] > 1).all()


def test_draws():
    z = draw(2000, 5, seed=0)
    assert z[0].all() and z.dtype == bool
    np.testing.assert_allclose(z.mean(axis=0), 0.5, atol=0.05)


def test_bad_options():
    for options in ({"samples": 1}, {"width": 0}, {"ridge": -1}):
        with pytest.raises(TfvidError, match="expected samples >= 2, width > 0, ridge >= 0; got"):
            LIME(toy_models.build("functional"), **options)
