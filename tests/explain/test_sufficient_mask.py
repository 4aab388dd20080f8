"""Sufficient masks on models whose class is known to need the motion of certain frames."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.masks.sufficient import PENALTY, SufficientObjective, keeping
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.explain.masks.windows import window_masks
from tfvid.perturb.temporal import freeze, hold, hold_matrix

CHANGING = np.tile(np.float32([0, 1] * 4).reshape(1, 8, 1, 1, 1), (1, 1, 2, 2, 1))  # every frame differs from the next


def motion_model(changes, per_change=4.0, offset=-10.0, num_frames=8):
    """Two classes; the logit of the first grows with the changes from frame t to t + 1, t in `changes`."""
    clips = keras.Input((num_frames, 2, 2, 1))
    means = keras.ops.mean(clips, axis=(2, 3, 4))
    steps = keras.ops.abs(means[:, 1:] - means[:, :-1])
    weights = np.zeros((num_frames - 1, 2), np.float32)
    weights[list(changes), 0] = per_change
    head = keras.layers.Dense(2)
    model = keras.Model(clips, head(steps))
    head.set_weights([weights, np.array([offset, 0.0])])
    return model


def bits(mask):
    return "".join("1" if m > 0.5 else "0" for m in np.ravel(mask))


def held(values, mask):
    """`hold` for a binary mask, in words: a loop over the frames."""
    kept = np.flatnonzero(mask)
    shown = []
    for t in range(len(values)):
        before = kept[kept <= t]
        shown.append(before[-1] if len(before) else kept[0] if len(kept) else 0)
    return values[shown]


@pytest.mark.parametrize("mask", ["00111000", "10000001", "01101100", "00000010", "00000000", "11111111"])
def test_hold_shows_the_nearest_kept_frame_before_or_the_first(mask):
    values, mask = np.arange(8.0, dtype=np.float32), np.float32([int(bit) for bit in mask])
    shown = hold(values.reshape(1, 8, 1, 1, 1), mask[np.newaxis])
    np.testing.assert_array_equal(np.ravel(shown), held(values, mask))


def test_hold_mixes_frames_and_its_gradient_is_exact():
    rng = np.random.default_rng(0)
    mask, weights = rng.random((3, 6)).astype(np.float32), rng.normal(size=(3, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(tf.reduce_sum(hold_matrix(mask), axis=-1), np.ones((3, 6)), atol=1e-6)

    def value(mask):
        return tf.reduce_sum(hold_matrix(mask) * weights, axis=(1, 2))

    with tf.GradientTape() as tape:
        x = tf.constant(mask)
        tape.watch(x)
        y = value(x)
    gradient = tape.gradient(y, x)
    for t in range(6):
        step = np.zeros(6, np.float32)
        step[t] = 1e-2
        slope = (value(mask + step) - value(mask - step)) / 2e-2
        np.testing.assert_allclose(gradient[:, t], slope, atol=2e-3)


@pytest.mark.parametrize("method", ["search", "search+gradient", "gradient"])
def test_a_class_that_needs_the_motion_of_frames_3_to_6(method):
    """Three changes make the class: logit 4 * 3 - 10 = 2. Two of them leave -2: so all four frames must move."""
    explain = TemporalMask(motion_model((3, 4, 5)), objective="sufficient", method=method, variation_weight=1e-4)
    result = explain(CHANGING)
    assert bits(result.mask) == "00011110"
    assert result.keeps.tolist() == [True] and result.reached.tolist() == [True]
    np.testing.assert_allclose(result.original_score, tf.sigmoid(2.0), atol=1e-6)
    assert 0.9 * result.original_score <= result.kept_score <= result.original_score + 1e-6
    np.testing.assert_allclose(result.full_drop, tf.sigmoid(2.0) - tf.sigmoid(-10.0), atol=1e-6)
    terms = result.length_term + result.variation_term + result.score_term
    np.testing.assert_allclose(result.loss, terms, rtol=1e-6)
    np.testing.assert_allclose(result.score_term, 1 - result.kept_score, atol=1e-6)


def test_the_whole_clip_where_its_first_and_last_change_are_needed():
    model = motion_model((0, 3, 6))
    result = TemporalMask(model, objective="sufficient", method="search")(CHANGING)
    assert bits(result.mask) == "11111111" and result.reached.all()
    np.testing.assert_allclose(result.kept_score, result.original_score, atol=1e-7)


def test_one_of_two_signs_suffices_and_none_is_necessary():
    """Either of two changes is enough, so one of them suffices, and only both together are necessary."""
    model = motion_model((1, 5), per_change=8.0, offset=-4.0)
    result = TemporalMask(model, objective="both", method="search", variation_weight=0.0)(CHANGING)
    assert bits(result.sufficient.mask) in ("01100000", "00000110")  # logit 4
    assert result.keeps.tolist() == [False] and np.isnan(result.kept_score).all() and not result.reached.any()
    np.testing.assert_allclose(result.sufficient.kept_score, tf.sigmoid(4.0), atol=1e-6)
    assert result.freeze_score < 0.5
    assert set(np.flatnonzero(result.mask[0])) > {2, 5}  # both changes are frozen


def loss_of_window(model, clip, mask, share, length=0.01, variation=0.02):
    """The loss in float64, from the model's own scores."""
    original, kept = (float(tf.nn.softmax(model(c))[0, 0]) for c in (clip, hold(clip, mask[np.newaxis])))
    edges = np.count_nonzero(np.diff(mask, prepend=0, append=0))
    price = length * mask.sum() + variation * 2 * edges  # both ends of the clip are edges, and each counts twice
    return price + 1 - kept + PENALTY * max(0.0, share * original - kept)


@pytest.mark.parametrize("share", [0.9, 0.0])
def test_search_finds_the_best_of_all_windows(share):
    rng = np.random.default_rng(3)
    model = motion_model((1, 3, 4, 6), per_change=6.0, offset=-5.0)
    clips = (rng.random((4, 8, 2, 2, 1), np.float32) + CHANGING) / 2
    explain = TemporalMask(model, objective="sufficient", method="search", keep_share=share)
    result = explain(clips, target=0)
    windows = [np.zeros(8, np.float32), *window_masks(8)]
    for clip, mask, loss, kept, original in zip(
        clips, result.mask, result.loss, result.kept_score, result.original_score, strict=True
    ):
        losses = [loss_of_window(model, clip[np.newaxis], window, share) for window in windows]
        assert loss == pytest.approx(min(losses), abs=2e-5)
        assert loss_of_window(model, clip[np.newaxis], mask, share) == pytest.approx(min(losses), abs=2e-5)
        assert share == 0 or kept >= share * original - 1e-3
    np.testing.assert_array_equal(result.reached, result.kept_score >= share * result.original_score)


def test_the_penalty_holds_a_share_that_the_dual_alone_gives_up():
    """OS is 0.27: without the penalty no motion is cheapest, with it the motion is kept."""
    model = motion_model((3, 4, 5), per_change=1.0, offset=-4.0)
    options = {"objective": "sufficient", "method": "search", "length_weight": 0.1}
    without = TemporalMask(model, keep_share=0.0, **options)(CHANGING, target=0)
    assert bits(without.mask) == "00000000" and without.reached.all()
    kept = TemporalMask(model, **options)(CHANGING, target=0)
    assert bits(kept.mask)[3:7] == "1111" and kept.reached.all()


def test_a_still_clip_that_keeps_its_score_needs_no_motion():
    """The second class is that of no change: nothing must move for it."""
    result = TemporalMask(motion_model((3, 4, 5)), objective="sufficient", method="search")(CHANGING, target=1)
    assert bits(result.mask) == "00000000" and result.full_drop < 0 and result.reached.all()
    assert result.is_trusted.tolist() == [False]


def test_the_rest_of_a_clip_is_perturbed():
    assert keeping(freeze) is hold
    clips = np.random.default_rng(0).random((1, 3, 1, 1, 1)).astype(np.float32)
    dim = keeping(lambda clips, mask: clips * (1 - mask.reshape(1, 3, 1, 1, 1)))
    np.testing.assert_allclose(np.ravel(dim(clips, np.float32([[1, 0, 0.5]]))), np.ravel(clips) * [1, 0, 0.5])


def test_the_ends_of_the_clip_are_edges_and_the_slope_is_exact():
    objective = SufficientObjective(length_weight=0.25, variation_weight=0.5)
    for bits_, edges in (("11100000", 2), ("00111000", 2), ("11111111", 2), ("10000001", 4), ("00000000", 0)):
        mask = np.float32([int(bit) for bit in bits_])
        expected = 0.25 * mask.sum() + 0.5 * 2 * edges
        assert objective.price(mask)[0] == pytest.approx(expected)
        found = objective.length(mask[np.newaxis]) + objective.changes(mask[np.newaxis])
        np.testing.assert_allclose(found, [expected], rtol=1e-6)
    mask = np.random.default_rng(0).random(6)
    slopes = [(objective.price(mask + d)[0] - objective.price(mask - d)[0]) / 2e-5 for d in 1e-5 * np.eye(6)]
    np.testing.assert_allclose(objective.price(mask)[1], slopes, atol=1e-6)


def test_the_penalty_and_its_slope():
    """A share of 0.9 of 0.8 is 0.72; a score of 0.7 misses 0.02."""
    objective = SufficientObjective()
    found, slope = objective.penalty(np.array([0.3, 0.1]), 0.8)
    np.testing.assert_allclose(found, [PENALTY * 0.02, 0], atol=1e-12)
    np.testing.assert_array_equal(slope, [PENALTY, 0])


def test_what_is_refused():
    model = motion_model((3,))
    with pytest.raises(TfvidError, match="unknown objective 'sufficent'; did you mean 'sufficient'"):
        TemporalMask(model, objective="sufficent")
    with pytest.raises(TfvidError, match="expected score='probability', got 'logit'"):
        TemporalMask(model, objective="both", score="logit")
    with pytest.raises(TfvidError, match=r"keep_share in \[0, 1\], got 2"):
        TemporalMask(model, objective="sufficient", keep_share=2)
