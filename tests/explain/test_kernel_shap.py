"""Kernel SHAP beside exact Shapley values, and beside the shap package."""

from math import comb

import numpy as np
import pytest
import toy_models
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_scores import CLIP, PLAINLY, linear

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.kernel_shap import KernelSHAP, constrained_fit, weighted_coalitions
from tfvid.explain.pixels.shapley import Shapley, all_coalitions, shapley_values


def estimate(game, segments, samples, seed=0):
    z, weight = weighted_coalitions(segments, samples, seed)
    ends = game(np.array([[False] * segments, [True] * segments]))
    return constrained_fit(z, game(z) - ends[0], weight, ends[1] - ends[0])


def test_weights_of_three_players_by_hand():
    """(P - 1) / (C(P, k) k (P - k)) is 2 / (3 * 2) = 1/3 for each of the six: a sixth each, when they sum to one."""
    z, weight = weighted_coalitions(3, 6, 0)
    assert len(z) == 6
    np.testing.assert_allclose(weight, 1 / 6)


@settings(max_examples=30, deadline=None)
@given(v=st.integers(1, 6).flatmap(lambda p: st.lists(st.floats(-9, 9), min_size=2**p, max_size=2**p)))
def test_all_coalitions_give_shapley_values(v):
    v = np.array(v)
    segments = len(v).bit_length() - 1
    numbers = 2 ** np.arange(segments)
    np.testing.assert_allclose(estimate(lambda z: v[z @ numbers], segments, 62), shapley_values(v), atol=1e-8)


@pytest.mark.parametrize(("segments", "samples"), [(7, 40), (10, 200), (16, 300), (64, 500)])
def test_the_coalitions_asked(segments, samples):
    z, weight = weighted_coalitions(segments, samples, seed=1)
    size = z.sum(axis=1)
    assert segments < len(z) <= samples and size.min() > 0 and size.max() < segments
    assert len(np.unique(z, axis=0)) == len(z)
    np.testing.assert_allclose(weight.sum(), 1)
    rows = {row.tobytes(): w for row, w in zip(z, weight, strict=True)}
    np.testing.assert_allclose([rows[(~row).tobytes()] for row in z], weight)  # pairs, and they count alike
    share = 1 / (np.arange(1, segments) * (segments - np.arange(1, segments)))
    share /= share.sum()
    drawn = [k for k in range(1, segments) if (size == k).sum() < comb(segments, k)]
    for k in set(range(1, segments)) - set(drawn):  # sizes asked in full have the kernel's weight exactly
        np.testing.assert_allclose(weight[size == k], share[k - 1] / comb(segments, k))
    mean_size = np.abs(size - segments / 2)  # and the others have theirs on average
    expected = (share * np.abs(np.arange(1, segments) - segments / 2)).sum()
    np.testing.assert_allclose((weight * mean_size).sum(), expected, rtol=0.1)


@pytest.mark.parametrize("samples", [60, 300])
def test_an_additive_game_is_recovered_from_few(samples):
    a = np.random.default_rng(0).normal(size=20)
    np.testing.assert_allclose(estimate(lambda z: 3 + z @ a, 20, samples), a, atol=1e-9)


def test_pairs_are_shared_equally_from_few():
    """phi_i = a_i + sum_j b_ij / 2 where v = a.z + sum of b_ij over the pairs in z; pairing makes it exact."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=15), np.triu(rng.normal(size=(15, 15)), 1)
    values = estimate(lambda z: z @ a + np.einsum("ni,ij,nj->n", z, b, z), 15, 200)
    np.testing.assert_allclose(values, a + (b + b.T).sum(1) / 2, atol=1e-9)


def test_estimates_sum_exactly_and_near_the_truth_with_samples():
    rng = np.random.default_rng(0)
    a = rng.normal(size=11)

    def game(z):
        return np.tanh(z @ a) + z[:, 0] * z[:, 3] * z[:, 7]

    exact, z = shapley_values(game(all_coalitions(11))), all_coalitions(11)
    errors = []
    for samples in (100, 1000):
        values = [estimate(game, 11, samples, seed) for seed in range(5)]
        np.testing.assert_allclose(np.sum(values, axis=1), game(z[-1:])[0] - game(z[:1])[0], atol=1e-12)
        errors.append(np.sqrt(np.mean((np.array(values) - exact) ** 2)))
    assert errors[1] < 0.5 * errors[0] and errors[1] < 0.02


def test_fewer_samples_than_players_still_sum_and_treat_players_alike():
    """Nothing is known of most segments: they share alike what is left."""
    values = estimate(lambda z: z.sum(axis=1).astype(float), 30, 4)
    np.testing.assert_allclose(values, 1, atol=1e-9)


def test_a_linear_model_is_recovered():
    result = KernelSHAP(linear([1, -2, 3, 0]), (2, 1, 2), **PLAINLY)(CLIP, 0)
    np.testing.assert_allclose(result.values, [[1, -4, 9, 0]], atol=1e-5)
    np.testing.assert_allclose([result.score[0], result.base_score[0]], [6, 0], atol=1e-6)
    np.testing.assert_array_equal(result.forward_passes, [16])  # all, none, and the fourteen between


def test_one_player_has_it_all():
    result = KernelSHAP(linear([1, -2, 3, 0]), np.zeros((2, 1, 2), int), **PLAINLY)(CLIP, 0)
    np.testing.assert_allclose(result.values, [[6]])


def test_equals_exact_on_a_network():
    model, clips = toy_models.build("functional"), toy_models.clips(2)
    exact = Shapley(model, (2, 2, 2), batch_size=64)(clips, 1)
    kernel = KernelSHAP(model, (2, 2, 2), batch_size=64)(clips, 1)
    np.testing.assert_allclose(kernel.values, exact.values, atol=1e-5)
    np.testing.assert_allclose(kernel.attribution, exact.attribution, atol=1e-5)
    np.testing.assert_allclose(kernel.base_score, exact.base_score, atol=1e-6)


def test_equals_the_shap_package():
    shap = pytest.importorskip("shap")
    a = np.random.default_rng(0).normal(size=8)

    def game(z):
        z = np.asarray(z, float)
        return np.tanh(z @ a) + z[:, 0] * z[:, 3]

    theirs = shap.KernelExplainer(game, np.zeros((1, 8))).shap_values(
        np.ones((1, 8)), nsamples=2**8, l1_reg="num_features(8)", silent=True
    )[0]
    np.testing.assert_allclose(estimate(game, 8, 254), theirs, atol=1e-6)
    np.testing.assert_allclose(shapley_values(game(all_coalitions(8))), theirs, atol=1e-6)


def test_bad_options():
    with pytest.raises(TfvidError, match="expected samples >= 2, got 1"):
        KernelSHAP(toy_models.build("functional"), samples=1)
