"""The Gaussian process behind a mask search: it holds what it was told, and its gradients are right."""

import numpy as np
import pytest
from scipy.special import expit, logit
from threadpoolctl import threadpool_info

from tfvid.explain.masks import surrogate
from tfvid.explain.masks.surrogate import Surrogate

RNG = np.random.default_rng(0)
SLOPES = RNG.normal(size=5)
BENDS = RNG.normal(size=(5, 5))


def smooth(mask, is_probability=True):
    """A score and its gradient: the log-odds, or the score itself, are quadratic in the mask."""
    z = SLOPES @ mask + mask @ BENDS @ mask / 4 - 1
    slope = SLOPES + (BENDS + BENDS.T) @ mask / 4
    return (expit(z), expit(z) * (1 - expit(z)) * slope) if is_probability else (z, slope)


def fitted(is_probability=True, num_scores=4, num_gradients=5):
    masks = np.random.default_rng(1).random((num_scores + num_gradients, 5))
    process = Surrogate(is_probability)
    process.add_scores(masks[:num_scores], [smooth(mask, is_probability)[0] for mask in masks[:num_scores]])
    for mask in masks[num_scores:]:
        process.add_gradient(mask, *smooth(mask, is_probability))
    process.fit(masks[-1])
    return process, masks


@pytest.mark.parametrize("is_probability", [True, False])
def test_it_holds_all_looks(is_probability):
    process, masks = fitted(is_probability)
    scores = [smooth(mask, is_probability)[0] for mask in masks]
    np.testing.assert_allclose(process.scores(masks), scores, atol=2e-3)
    for mask in masks[4:]:
        score, gradient = process.score_and_gradient(mask, 0)
        assert score == pytest.approx(smooth(mask, is_probability)[0], abs=2e-3)
        np.testing.assert_allclose(gradient, smooth(mask, is_probability)[1], atol=5e-3)
    np.testing.assert_allclose(process.scores(masks, 3), scores, atol=1e-2)  # nothing is uncertain there


@pytest.mark.parametrize("is_probability", [True, False])
def test_it_predicts_between_them(is_probability):
    process, masks = fitted(is_probability, num_gradients=8)
    between = np.random.default_rng(2).dirichlet(np.ones(len(masks)), 20) @ masks
    right = [smooth(mask, is_probability)[0] for mask in between]
    np.testing.assert_allclose(process.scores(between), right, atol=0.02)
    assert (process.scores(between, 4) >= right).all() and (process.scores(between, -4) <= right).all()


@pytest.mark.parametrize("deviations", [0, 1.5, -0.7])
@pytest.mark.parametrize("is_probability", [True, False])
def test_gradients_of_predictions(is_probability, deviations):
    """Against central differences."""
    process, _ = fitted(is_probability)
    for mask in np.random.default_rng(3).random((4, 5)):
        score, gradient = process.score_and_gradient(mask, deviations)
        assert score == pytest.approx(process.scores(mask[np.newaxis], deviations)[0], abs=1e-6)
        steps = 1e-3 * np.eye(5)
        up, down = (process.scores(mask + sign * steps, deviations) for sign in (1, -1))
        np.testing.assert_allclose(gradient, (up - down) / 2e-3, rtol=1e-3, atol=1e-3)


def test_certain_scores_are_finite():
    """Probabilities of 0 and 1 have no log-odds, and no slope that could be told."""
    process = Surrogate()
    process.add_scores(np.eye(5)[:2], [0.0, 1.0])
    process.add_gradient(np.eye(5)[2], 0.0, np.full(5, 1e-30))
    process.fit(np.zeros(5))
    scores = process.scores(np.eye(5)[:3])
    np.testing.assert_allclose(scores, expit(np.clip(logit([1e-4, 1 - 1e-4, 1e-4]), -20, 20)), atol=1e-3)


def test_too_many_gradients_leave_the_nearest(monkeypatch):
    """Room for two gradients of five values each: the far one is left out, its score is kept."""
    monkeypatch.setattr(surrogate, "MOST_ROWS", 13)
    process = Surrogate(is_probability=False)
    for place in (0.0, 0.5, 3.0):
        process.add_gradient(np.full(5, place), place, np.ones(5))
    process.fit(np.zeros(5))
    assert process.inverse.shape == (13, 13)
    np.testing.assert_allclose(process.scores(np.full((1, 5), 3.0)), 3.0, atol=1e-3)


def test_one_blas_thread_inside_and_as_many_as_before_after():
    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before = threads()
    with surrogate.one_blas_thread():
        assert set(threads()) == {1}
    assert threads() == before
