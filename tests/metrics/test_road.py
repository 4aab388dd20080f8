"""Noisy linear imputation, ROAD, sparseness and complexity, by hand on small clips."""

import numpy as np
import pytest
from test_metrics_faithfulness import MAP, ONES, PARTS, adding

import tfvid
from tfvid.core.errors import TfvidError
from tfvid.metrics.complexity import complexity, sparseness
from tfvid.metrics.faithfulness.imputation import impute


def clip_of(rows):
    return np.array(rows, np.float32)[np.newaxis, ..., np.newaxis]


def test_a_line_of_hidden_pixels_is_interpolated():
    clip = clip_of([[0, 9, 9, 3]])
    np.testing.assert_allclose(impute(clip, clip[..., 0] == 9, noise=0), clip_of([[0, 1, 2, 3]]), atol=1e-6)


def test_a_hidden_pixel_is_the_weighted_mean_of_its_eight_neighbours():
    """Beside it 6, 0, 0, 0 with 1/6 each, at its corners 12, 0, 0, 0 with 1/12 each: 1 + 1."""
    clip = clip_of([[12, 6, 0], [0, 99, 0], [0, 0, 0]])
    filled = impute(clip, clip[..., 0] == 99, noise=0)
    assert filled[0, 1, 1, 0] == pytest.approx(2, abs=1e-6)
    np.testing.assert_array_equal(np.delete(filled, 4), np.delete(clip, 4))


def test_a_pixel_at_the_edge_has_fewer_neighbours():
    """In the corner of 2 x 2: (1/6 a + 1/6 b + 1/12 c) / (5/12)."""
    clip = clip_of([[99, 1], [2, 4]])
    filled = impute(clip, clip[..., 0] == 99, noise=0)
    assert filled[0, 0, 0, 0] == pytest.approx((1 / 6 + 2 / 6 + 4 / 12) / (5 / 12), abs=1e-6)


def test_a_ramp_is_restored_in_every_colour():
    ramp = np.stack(np.meshgrid(np.arange(7.0), np.arange(6.0)), axis=-1)[np.newaxis]
    hidden = np.zeros(ramp.shape[:3], bool)
    hidden[:, 2:4, 2:5] = True
    np.testing.assert_allclose(impute(ramp, hidden, noise=0), ramp, atol=1e-5)


def test_a_frame_without_a_shown_pixel_has_the_mean_colour_of_the_others():
    clip = np.arange(8, dtype=np.float32).reshape(2, 2, 2, 1)
    hidden = np.zeros((2, 2, 2), bool)
    hidden[0] = True
    np.testing.assert_allclose(impute(clip, hidden, noise=0)[0], 5.5)
    np.testing.assert_allclose(impute(clip, ~np.zeros_like(hidden), noise=0), 3.5)


def test_noise_lies_on_hidden_pixels_only():
    clip = np.random.default_rng(0).random((2, 20, 20, 3), np.float32)
    hidden = np.random.default_rng(1).random((2, 20, 20)) < 0.5
    plain, noisy = (impute(clip, hidden, noise=noise) for noise in (0, 0.1))
    np.testing.assert_array_equal(noisy[~hidden], clip[~hidden])
    assert np.std(noisy[hidden] - plain[hidden]) == pytest.approx(0.1 * np.ptp(clip), rel=0.1)
    np.testing.assert_array_equal(noisy, impute(clip, hidden, noise=0.1))


def test_road_by_hand():
    """On a clip of ones, imputation returns ones: removing changes nothing. On frames of unlike pixels it averages."""
    assert tfvid.metrics.road(adding(PARTS), ONES, MAP, 1, noise=0) == pytest.approx(1)
    clip = np.array([0, 1, 0, 1], np.float32).reshape(1, 2, 1, 2, 1)
    # The most relevant quarter is pixel 1 of frame 1; its neighbour is 0, so .4 of .2 + .4 is lost.
    value = tfvid.metrics.road(adding(PARTS), clip, MAP, 1, shares=[0.25], noise=0)
    np.testing.assert_allclose(value, [0.2], atol=1e-6)
    # With the two least relevant removed, frame 0 is hidden as a whole: it gets the mean of frame 1.
    value = tfvid.metrics.road(adding(PARTS), clip, -MAP, 1, shares=[0.5], noise=0)
    np.testing.assert_allclose(value, [0.4 + 0.5 * 0.3], atol=1e-6)


@pytest.mark.parametrize("options", [{"shares": []}, {"shares": [0]}, {"shares": [1.0]}, {"noise": -1}])
def test_bad_options(options):
    with pytest.raises(TfvidError, match=r"expected shares in \(0, 1\) and noise >= 0"):
        tfvid.metrics.road(adding(PARTS), ONES, MAP, 1, **options)


def test_sparseness_and_complexity_by_hand():
    """Shares 0, 0, 1/4, 3/4: Gini 1 - 2 (1/4 * 1.5/4 + 3/4 * .5/4) = .625; entropy .5623."""
    maps = np.array([0, 0, 1, -3], np.float32).reshape(1, 1, 2, 2)
    np.testing.assert_allclose(sparseness(maps), [0.625], atol=1e-6)
    np.testing.assert_allclose(complexity(maps), [-(0.25 * np.log(0.25) + 0.75 * np.log(0.75))], rtol=1e-6)


def test_limits_of_sparseness_and_complexity():
    one, equal, none = np.zeros((3, 2, 4, 4), np.float32)
    one[1, 2, 3], equal[:] = 5, 2
    maps = np.stack([one, equal, none])
    np.testing.assert_allclose(sparseness(maps), [1 - 1 / 32, 0, 0], atol=1e-6)
    np.testing.assert_allclose(complexity(maps), [0, np.log(32), np.log(32)], atol=1e-5)
    np.testing.assert_allclose(sparseness(-7 * maps), sparseness(maps), atol=1e-6)
