"""Integrated gradients by hand, and complete."""

import numpy as np
import pytest
import toy_models
from toy_pixels import PIXELS, WEIGHTS, head, power, smooth

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.integrated_gradients import IntegratedGradients
from tfvid.models.conv_lstm import ConvLSTM


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_cubic_model_in_closed_form(steps):
    """y = w x^3 from black: w x times the mean of 3 (a x)^2 at the midpoints a, which is w x^3 (1 - 1 / (4 S^2))."""
    result = IntegratedGradients(head(power(3)), steps=steps)(PIXELS, target=0)
    share = 1 - 1 / (4 * steps**2)
    np.testing.assert_allclose(result.attribution.ravel(), share * np.array([8, -1, -27]), rtol=1e-5)
    np.testing.assert_allclose(result.attributed, [share * -20], rtol=1e-5)
    np.testing.assert_allclose(result.score, [-20], rtol=1e-6)
    np.testing.assert_allclose(result.baseline_score, [0], atol=1e-6)
    np.testing.assert_allclose(result.completeness_gap, [20 / (4 * steps**2)], rtol=1e-4)


def test_exact_on_a_linear_model_from_any_baseline():
    model = head(bias=(7.0, 0.0))
    result = IntegratedGradients(model, baseline=lambda clips: 0 * clips + 1.0, steps=1)(PIXELS, target=0)
    np.testing.assert_allclose(result.attribution.ravel(), (PIXELS.ravel() - 1) * WEIGHTS[:, 0], rtol=1e-6)
    np.testing.assert_allclose(result.baseline_score, [7 + 1])
    np.testing.assert_allclose(result.completeness_gap, [0], atol=1e-5)


@pytest.mark.parametrize("baseline", ["fade", "mean", "blur", "first_frame"])
def test_the_gap_closes_as_steps_grow(baseline):
    model, clips = smooth()
    coarse, fine = (IntegratedGradients(model, baseline=baseline, steps=steps)(clips, 1) for steps in (1, 50))
    rise = fine.score - fine.baseline_score
    assert np.abs(rise).min() > 1e-2
    np.testing.assert_allclose(fine.attribution.sum(axis=(1, 2, 3)), rise, atol=1e-3 * np.abs(rise).max())
    np.testing.assert_allclose(fine.attributed - rise, fine.completeness_gap, atol=1e-5)
    assert np.abs(fine.completeness_gap).max() < np.abs(coarse.completeness_gap).max()


def test_where_nothing_happens_the_first_frame_is_the_clip():
    """A frozen clip is its own baseline: nothing to attribute. What moves is all that is attributed."""
    model = toy_models.build("functional")
    still = np.repeat(toy_models.clips(1)[:, :1], 6, axis=1)
    result = IntegratedGradients(model, baseline="first_frame", steps=4)(still)
    np.testing.assert_array_equal(result.attribution, np.zeros_like(result.attribution))
    moving = still.copy()
    moving[0, 3, 2, 5] = 1 - moving[0, 3, 2, 5]
    where = np.argwhere(IntegratedGradients(model, baseline="first_frame", steps=4)(moving).attribution)
    np.testing.assert_array_equal(where, [[0, 3, 2, 5]])


def test_runs_through_a_recurrent_video_model():
    model = ConvLSTM(3, 4, (16, 16), filters=2, blocks=1)
    result = IntegratedGradients(model, steps=256)(np.random.default_rng(0).random((1, 4, 16, 16, 3), np.float32))
    rise = result.score - result.baseline_score
    np.testing.assert_allclose(result.completeness_gap, [0], atol=0.02 * np.abs(rise).max())


def test_bad_options():
    with pytest.raises(TfvidError, match="expected steps >= 1, got 0"):
        IntegratedGradients(head(), steps=0)
    with pytest.raises(TfvidError, match="unknown baseline 'black'; .*valid: fade, mean, blur, first_frame"):
        IntegratedGradients(head(), baseline="black")
