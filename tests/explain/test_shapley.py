"""Shapley values: exact, and the axioms that define them."""

import numpy as np
import pytest
import toy_models
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_scores import CLIP, PLAINLY, linear, pixels

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.shapley import Shapley, all_coalitions, shapley_values

GAMES = st.integers(1, 6).flatmap(
    lambda segments: st.lists(st.floats(-10, 10), min_size=2**segments, max_size=2**segments).map(np.array)
)


def test_by_hand():
    """v(0) = 1, v(1) = 2, v(0, 1) = 5: segment 0 adds 1 first and 3 second, segment 1 adds 2 and 4."""
    np.testing.assert_array_equal(all_coalitions(2), [[0, 0], [1, 0], [0, 1], [1, 1]])
    np.testing.assert_allclose(shapley_values(np.array([0, 1, 2, 5])), [2, 3])


def test_one_left_and_two_right_gloves():
    """A pair is worth 1. The left glove (segment 0) is worth 2/3, each right one 1/6."""
    z = all_coalitions(3)
    np.testing.assert_allclose(shapley_values((z[:, 0] & (z[:, 1] | z[:, 2])).astype(float)), [2 / 3, 1 / 6, 1 / 6])


@settings(max_examples=40, deadline=None)
@given(v=GAMES, scale=st.floats(-3, 3))
def test_efficiency_and_linearity(v, scale):
    values = shapley_values(v)
    np.testing.assert_allclose(values.sum(), v[-1] - v[0], atol=1e-9)
    other = v[::-1] ** 2
    np.testing.assert_allclose(shapley_values(v + scale * other), values + scale * shapley_values(other), atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(v=GAMES, add=st.floats(-5, 5))
def test_dummy_and_symmetry(v, add):
    """A segment more who always adds the same is worth that; two who can be exchanged are worth the same."""
    values = shapley_values(np.concatenate([v, v + add]))
    np.testing.assert_allclose(values, [*shapley_values(v), add], atol=1e-9)
    num_segments = len(v).bit_length() - 1
    if num_segments > 1:
        z = all_coalitions(num_segments)
        exchanged = z.copy()
        exchanged[:, :2] = z[:, 1::-1]
        alike = v + v[exchanged @ 2 ** np.arange(num_segments)]
        np.testing.assert_allclose(*shapley_values(alike)[:2], atol=1e-9)


def test_frames_of_a_clip_by_hand():
    """The sum of frame 0 times the sum of frame 1, 3 * 7: nothing without both, so half each."""
    result = Shapley(pixels(lambda x: x[:, :2].sum(1) * x[:, 2:].sum(1)), "frames", **PLAINLY)(CLIP, 0)
    np.testing.assert_allclose(result.values, [[10.5, 10.5]])
    np.testing.assert_allclose([result.score[0], result.base_score[0]], [21, 0])
    np.testing.assert_array_equal(result.forward_passes, [5])  # the whole clip, and four coalitions


def test_a_linear_model_is_recovered():
    result = Shapley(linear([1, -2, 3, 0]), (2, 1, 2), **{**PLAINLY, "fill": "mean"})(CLIP, 0)
    np.testing.assert_allclose(result.values, [[1 * -1.5, -2 * -0.5, 3 * 0.5, 0]], atol=1e-6)
    np.testing.assert_allclose(result.base_score, [5], atol=1e-6)


def test_values_of_a_network_sum_to_the_difference():
    result = Shapley(toy_models.build("functional"), batch_size=512)(toy_models.clips(1))
    assert result.values.shape == (1, 12)
    np.testing.assert_allclose(result.values.sum(-1), result.score - result.base_score, atol=1e-5)
    assert np.abs(result.values).max() > 1e-4


def test_too_many_players():
    with pytest.raises(TfvidError, match=r"shapley: expected at most 12 segments, got 24, .*2\^24.*; use kernel_shap"):
        Shapley(toy_models.build("functional"), (6, 2, 2))(toy_models.clips(1))
