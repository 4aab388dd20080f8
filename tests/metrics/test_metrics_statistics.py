"""Statistics on numbers worked out by hand, and on the masks read off the paper's own figures."""

import json
import warnings
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfvid.core.errors import DataError, TfvidError
from tfvid.metrics.masks import mask_length
from tfvid.metrics.statistics import cliffs_delta, comparison, describe, hedges_g, holm, paired, welch


def test_describe():
    sample = describe([2, 4, 4, 4, 5, 5, 7, 9])
    assert (sample.n, sample.mean, sample.std, sample.median, sample.note) == (8, 5, 2, 4.5, "")
    assert 2 < sample.low < 5 < sample.high < 9
    assert describe([2, 4, 4, 4, 5, 5, 7, 9]) == sample  # the seed is fixed


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says():
    draws = np.random.default_rng(0).exponential(1.0, (100, 30))
    held = sum(s.low <= 1 <= s.high for s in map(describe, draws))
    assert 85 <= held <= 99


def test_welch():
    """Means 2 and 5, variances 1 and 4 (n - 1): t = -3 / sqrt(5 / 3), df = (5 / 3)^2 / (1 / 18 + 16 / 18)."""
    test = welch([1, 2, 3], [3, 5, 7])
    assert test.t == pytest.approx(-3 / np.sqrt(5 / 3))
    assert test.degrees_of_freedom == pytest.approx((25 / 9) / (17 / 18))
    assert 0.1 < test.p < 0.2  # Student's t at 3 degrees: 2.35 is 10 %, 1.64 is 20 %


def test_paired_tests_go_through_all_signs():
    """Five differences of one sign: 2 of the 2^5 flips are as far from zero, for ranks and means alike."""
    test = paired([1, 2, 3, 4, 5], [0, 0, 0, 0, 0])
    assert test.wilcoxon_p == test.permutation_p == pytest.approx(2 / 32)
    # Of the differences 1, 1, 3 and -1 the mean is 1: flips of sum >= 4 are (3 1 1 1), (3 1 1 -1) three times.
    assert paired([1, 1, 3, 0], [0, 0, 0, 1]).permutation_p == pytest.approx(2 * 4 / 16)


def test_pairs_show_what_means_hide():
    """Clips differ far more than the models do."""
    first = np.arange(20.0) * 10
    result = comparison(first + 1 + np.arange(20) % 2, first)
    assert result.welch_p > 0.9
    assert result.wilcoxon_p < 0.001 and result.permutation_p < 0.001
    assert 1.2 < result.low < result.difference == 1.5 < result.high < 1.8


def test_hedges_g():
    """Pooled variance (2 x 1 + 2 x 4) / 4 = 2.5; the exact correction at 4 degrees, G(2) / (sqrt 2 G(1.5)), is .798."""
    assert hedges_g([1, 2, 3], [3, 5, 7]) == pytest.approx(-3 / np.sqrt(2.5) * np.sqrt(2 / np.pi))


def test_cliffs_delta():
    """Of the nine pairs one is above, two are ties, six are below."""
    assert cliffs_delta([1, 2, 4], [2, 3, 4]) == pytest.approx((2 - 5) / 9)
    assert cliffs_delta([5, 6], [1, 2, 3]) == 1
    assert cliffs_delta([1, 1], [1, 1]) == 0


def test_holm():
    assert holm([0.01, 0.04, 0.03, None]) == pytest.approx([0.03, 0.06, 0.06, None])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(TfvidError, match=r"\[0, 1\], got 1.5"):
        holm([0.1, 1.5])


@pytest.mark.long  # statsmodels takes 15 seconds to load
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_holm_is_that_of_statsmodels(pvalues):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    assert holm(pvalues) == pytest.approx(multitest.multipletests(pvalues, method="holm")[1])


def test_samples_that_are_not_paired():
    result = comparison([1, 2, 3], [3, 5, 7, 9], paired=False)
    assert (result.difference, result.wilcoxon_p, result.permutation_p, result.note) == (-4, None, None, "")
    assert result.low < -4 < result.high < 0


@pytest.mark.parametrize(
    ("first", "second", "known", "note"),
    [
        ([], [], set(), "2 values or more in each, got 0 and 0"),
        ([1], [3], {"difference", "cliffs_delta"}, "needs 2 or more, got 1"),
        ([2, 2], [2, 2], {"difference", "cliffs_delta"}, "all pairs are equal"),
        ([3, 3], [2, 2], {"difference", "cliffs_delta", "wilcoxon_p", "permutation_p"}, "no variance in either"),
        (
            [1, 2],
            [1, 2],
            {"difference", "cliffs_delta", "hedges_g", "t", "degrees_of_freedom", "welch_p"},
            "differences: no variance",
        ),
    ],
)
def test_what_cannot_be_told_is_none_and_says_why(first, second, known, note):
    with warnings.catch_warnings(action="error"):
        result = comparison(first, second)
    numbers = ("difference", "low", "t", "degrees_of_freedom", "welch_p", "wilcoxon_p", "permutation_p")
    numbers += ("hedges_g", "cliffs_delta")
    assert {name for name in numbers if getattr(result, name) is not None} == known
    assert note in result.note


VALUES = st.floats(-1e6, 1e6, width=32)


@given(st.lists(st.tuples(VALUES, VALUES), max_size=12), st.booleans())
@settings(max_examples=25, deadline=None)
def test_no_answer_is_nan(pairs, are_paired):
    first, second = np.array(pairs).reshape(-1, 2).T
    result = asdict(comparison(first, second, paired=are_paired))
    flat = {**result, **result["first"], **result["second"]}
    numbers = [value for value in flat.values() if isinstance(value, float)]
    assert np.isfinite(numbers).all()
    for name in ("welch_p", "wilcoxon_p", "permutation_p"):
        assert result[name] is None or 0 <= result[name] <= 1
    swapped = comparison(second, first, paired=are_paired)
    assert swapped.cliffs_delta == (None if not pairs else pytest.approx(-result["cliffs_delta"]))


@pytest.mark.parametrize(
    ("first", "second", "error", "message"),
    [
        ([1, float("nan"), 2], [1, 2, 3], DataError, r"finite values, got nan at 1 \(1 of 3 are\)"),
        ([1, 2], [1, float("inf")], DataError, "finite values, got inf at 1"),
        ([1, 2], [1, 2, 3], TfvidError, "of one length, got 2 and 3"),
        ([[1, 2]], [1, 2], TfvidError, r"shape \(N,\), got \(1, 2\)"),
    ],
)
def test_bad_samples(first, second, error, message):
    with pytest.raises(error, match=message):
        comparison(first, second)


def test_published_masks(shared_data):
    """The paper's finding on the 31 Something-something clips of its page: masks of I3D are shorter."""
    records = json.loads((shared_data / "published" / "freeze_masks.json").read_text())
    masks = {
        model: {r["clip"]: r["freeze_mask"] for r in records if r["model"] == model and len(r["freeze_mask"]) == 16}
        for model in ("i3d", "clstm")
    }
    clips = list(masks["i3d"])
    i3d, clstm = (mask_length([masks[model][clip] for clip in clips]) for model in ("i3d", "clstm"))
    result = comparison(i3d, clstm)
    assert (result.first.n, round(result.first.mean, 2), round(result.first.std, 2)) == (31, 6.35, 3.63)
    assert (result.second.n, round(result.second.mean, 2), round(result.second.std, 2)) == (31, 10.06, 3.37)
    # sqrt((3.633^2 + 3.369^2) / 30) = 0.905 frames of standard error for a difference of 3.710.
    assert result.t == pytest.approx(-4.10, abs=0.01)
    assert -5.5 < result.low < result.difference < result.high < -1.9
    assert max(holm([result.welch_p, result.wilcoxon_p, result.permutation_p])) < 0.001
    assert result.hedges_g == pytest.approx(-3.710 / np.sqrt(31 / 30 * (3.633**2 + 3.369**2) / 2) * 0.9874, abs=2e-3)
    assert result.cliffs_delta == pytest.approx(-0.546, abs=1e-3)
