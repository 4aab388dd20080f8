"""Learned masks on models whose best mask is known, and the procedure's parts one by one."""

import dataclasses
import functools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvid.core.errors import StillClipWarning, TfvidError
from tfvid.explain.masks.descent import adam
from tfvid.explain.masks.objective import total_variation
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.explain.masks.windows import centred_windows
from tfvid.models.conv_lstm import ConvLSTM
from tfvid.perturb.temporal import freeze, reverse


def change_model(num_frames=8, per_change=4.0, offset=-2.0):
    """Two classes, "something changes" and "nothing does": the logit grows with every change between frames."""
    clips = keras.Input((num_frames, 2, 2, 1))
    means = keras.ops.mean(clips, axis=(2, 3, 4))
    change = keras.ops.sum(keras.ops.abs(means[:, 1:] - means[:, :-1]), axis=1, keepdims=True)
    head = keras.layers.Dense(2, name="head")
    model = keras.Model(clips, head(change))
    head.set_weights([np.array([[per_change, 0.0]]), np.array([offset, 0.0])])
    return model


def order_model(num_frames=8):
    """Two classes, "brighter" and "darker": the last frame's brightness less the first one's."""
    clips = keras.Input((num_frames, 2, 2, 1))
    means = keras.ops.mean(clips, axis=(2, 3, 4))
    head = keras.layers.Dense(2, name="head")
    model = keras.Model(clips, head(means[:, -1:] - means[:, :1]))
    head.set_weights([np.array([[5.0, -5.0]]), np.zeros(2)])
    return model


def video(*values):
    return np.tile(np.reshape(np.array(values, np.float32), (1, -1, 1, 1, 1)), (1, 1, 2, 2, 1))


BLIP = video(0, 0, 0, 1, 1, 0, 0, 0)  # freezing frames 3 and 4 removes all change


@functools.cache
def masks(model=change_model, *args, **options):
    """An explainer of a toy model, traced once for all tests that ask for it."""
    return TemporalMask(model(), *args, **options)


def sharp(model, *args, **options):
    """Weights so small that the best mask is the one that hurts most with the fewest frames."""
    return masks(model, *args, **{"variation_weight": 1e-4, **options})


def bits(mask):
    return "".join("1" if m > 0.5 else "0" for m in np.ravel(mask))


# The whole procedure.


def test_finds_the_frames_that_matter():
    result = sharp(change_model)(BLIP)
    assert bits(result.mask) == "00011000"
    assert result.target == result.predicted == 0
    np.testing.assert_allclose(result.original_score, tf.sigmoid(6.0), atol=1e-6)
    np.testing.assert_allclose(result.freeze_score, tf.sigmoid(-2.0), atol=0.02)
    np.testing.assert_allclose(result.full_drop, tf.sigmoid(6.0) - tf.sigmoid(-2.0), atol=1e-6)
    assert result.iterations == 300


def test_trims_a_window_that_is_too_large():
    result = sharp(change_model)(video(0, 0, 0, 0, 0, 1, 0, 0))  # off the centre: only windows 2..5 and larger keep it
    assert bits(result.initial_mask) == "00111100"
    assert bits(result.mask)[:5] == "00000"
    assert bits(result.mask)[5] == "1"
    assert result.freeze_score < 0.2


def test_reverse_hurts_a_model_that_knows_order():
    clips = video(0, 0, 0.3, 0.5, 0.6, 0.8, 1, 1)
    reversing = sharp(order_model, "reverse", init="full", keep="best")(clips)
    assert reversing.reverse_score < 0.01 < 0.99 < reversing.original_score
    np.testing.assert_allclose(reversing.score_term, reversing.reverse_score, atol=1e-6)
    np.testing.assert_allclose(reversing.full_drop, reversing.original_score - tf.sigmoid(-10.0), atol=1e-6)


def test_terms_and_scores_are_those_of_the_mask():
    model, clips = change_model(), np.concatenate([BLIP, video(0, 1, 0, 1, 0, 0, 0, 1)])
    result = TemporalMask(model, iterations=7)(clips, labels=[1, -1])
    mask = result.mask
    np.testing.assert_allclose(result.length_term, 0.01 * mask.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(result.variation_term, 0.02 * total_variation(mask), rtol=1e-5)
    np.testing.assert_allclose(result.loss, result.length_term + result.variation_term + result.score_term, rtol=1e-6)
    score = tf.nn.softmax(model(freeze(clips, mask)))[:, 0]
    np.testing.assert_allclose(result.score_term, score, atol=1e-6)
    np.testing.assert_allclose(result.freeze_score, score, atol=1e-6)
    np.testing.assert_allclose(result.reverse_score, tf.nn.softmax(model(reverse(clips, mask)))[:, 0], atol=1e-6)
    np.testing.assert_allclose(result.true_score[0], tf.nn.softmax(model(clips))[0, 1], atol=1e-6)
    assert np.isnan(result.true_score[1])


def test_a_clip_of_identical_frames_is_told_and_not_trusted():
    """Blurred, a still clip loses score, so that the drop alone would trust its mask."""
    bright = video(*[0.75] * 8)
    explain = TemporalMask(order_model(), lambda clips, mask: 0.5 * clips, method="search")
    moving = np.concatenate([BLIP, np.nextafter(bright, 1) * np.eye(8, dtype=np.float32)[3].reshape(1, 8, 1, 1, 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not explain(moving).still.any()
    with pytest.warns(
        StillClipWarning, match=r"clip 1: all frames are identical, .* \(1 of 2 clips are so\)"
    ) as caught:
        result = explain(np.concatenate([BLIP, bright]))
    assert result.still.tolist() == [False, True] and caught[0].filename == __file__
    trusting = dataclasses.replace(result, full_drop=np.float32([1, 1]))
    assert trusting.is_trusted.tolist() == [True, False]


@pytest.mark.long
def test_the_probabilities_of_all_classes_are_in_the_result():
    model = change_model()
    for method in ("gradient", "search", "search+gradient"):
        result = TemporalMask(model, method=method, iterations=2)(np.concatenate([BLIP, video(0, 1, 0, 1, 0, 0, 0, 1)]))
        # Two and five changes of the mean: logits 4 * 2 - 2 and 4 * 5 - 2, and 0.
        expected = [[1 / (1 + np.exp(-6)), 1 / (1 + np.exp(6))], [1 / (1 + np.exp(-18)), 1 / (1 + np.exp(18))]]
        np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)
        assert result.probabilities.dtype == np.float32


def test_a_clip_does_not_depend_on_its_batch_mates():
    keras.utils.set_random_seed(0)
    model = ConvLSTM(4, 6, (16, 16), blocks=2, filters=4)
    rng = np.random.default_rng(0)
    model.get_layer("logits").kernel.assign(rng.normal(0, 5, model.get_layer("logits").kernel.shape))
    clips = rng.random((3, 6, 16, 16, 3), np.float32)
    explain = TemporalMask(model, iterations=60)
    together, alone = explain(clips), [explain(clips[b : b + 1]) for b in range(3)]
    masks = np.concatenate([result.mask for result in alone])
    assert len({bits(mask) for mask in masks}) > 1  # the masks have moved, and not all alike
    np.testing.assert_allclose(together.mask, masks, atol=1e-3)
    np.testing.assert_array_equal(together.mask > 0.5, masks > 0.5)
    np.testing.assert_array_equal(together.initial_mask, np.concatenate([result.initial_mask for result in alone]))


def test_one_trace_for_each_clip_shape():
    explain = TemporalMask(change_model(), iterations=2, batch_size=2)
    for num_clips in (1, 2, 5):
        explain(np.tile(BLIP, (num_clips, 1, 1, 1, 1)))
    assert explain.traces == 1


def test_printed_learning_rate_cannot_move_the_mask():
    """Table 6's 0.001: after 300 steps the logits have moved by about 0.3, of the 5 they need."""
    clips = video(0, 0, 0, 0, 0, 1, 0, 0)
    result = sharp(change_model, learning_rate=0.001)(clips)
    moved = np.log(result.mask / (1 - result.mask)) - np.where(result.initial_mask > 0.5, 5, -5)
    assert np.abs(moved).max() < 0.4
    assert bits(result.mask) == bits(result.initial_mask)
    assert bits(sharp(change_model, learning_rate=0.2)(clips).mask) != bits(result.initial_mask)


# Where it starts.


@pytest.mark.parametrize(
    ("values", "window"),
    [
        ((0, 0, 0, 1, 1, 0, 0, 0), "00011000"),
        ((0, 0, 1, 1, 1, 1, 0, 0), "00111100"),
        ((0, 0, 0, 0, 0, 1, 0, 0), "00111100"),
        ((0, 1, 0, 0, 0, 0, 0, 0), "01111110"),
        ((0, 0, 0, 0, 0, 0, 0, 1), "11111111"),
    ],
)
def test_central_start_is_the_smallest_window_that_keeps_the_drop(values, window):
    result = masks(iterations=0)(video(*values))
    assert bits(result.initial_mask) == window
    np.testing.assert_allclose(result.mask, tf.sigmoid(np.where(result.initial_mask > 0.5, 5.0, -5.0)), rtol=1e-6)
    assert result.iterations == 0


def test_central_share():
    clips = video(0, 0, 0.2, 1, 0, 0, 0, 0)  # the middle window 3..4 leaves a small change
    assert bits(masks(iterations=0)(clips).initial_mask) == "00111100"
    assert bits(masks(iterations=0, central_share=0.5)(clips).initial_mask) == "00011000"


def test_full_start_where_perturbing_does_not_hurt():
    result = masks(iterations=0)(BLIP, target=1)  # freezing *helps* "nothing changes"
    assert result.full_drop < 0
    assert bits(result.initial_mask) == "11111111"


@pytest.mark.long
def test_other_starts():
    model, clips = change_model(), np.tile(BLIP, (2, 1, 1, 1, 1))
    assert bits(TemporalMask(model, iterations=0, init="full")(clips).mask) == "1" * 16
    first, again, other = (TemporalMask(model, iterations=0, init="random", seed=s)(clips).mask for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[0], first[1])
    assert np.abs(first - other).max() > 0.1


def test_centred_windows():
    assert [bits(window) for window in centred_windows(6)] == ["111111", "011110", "001100"]
    assert [bits(window) for window in centred_windows(5)] == ["11111", "01110"]
    assert [bits(window) for window in centred_windows(2)] == ["11"]


# Where it ends.


def test_early_stop_is_a_clips_own():
    settled = video(0, 0, 0, 1, 1, 0, 0, 0)
    clips = np.concatenate([settled, video(0, 0, 0, 0, 0, 1, 0, 0)])
    explain = sharp(change_model, tolerance=1e-4, patience=10)
    both, alone = explain(clips), explain(clips[:1])
    assert both.iterations[0] != both.iterations[1]
    assert (both.iterations < 300).all()
    assert both.iterations[0] == alone.iterations[0]
    np.testing.assert_allclose(both.mask[0], alone.mask[0], atol=1e-4)


def test_keep_best_or_last():
    """Reversing loses its grip when the end of a run, which only the length term pulls at, falls below 0.1."""
    clips = video(0, 0, 0.3, 0.5, 0.6, 0.8, 1, 1)
    best, last = (sharp(order_model, "reverse", init="full", keep=keep)(clips) for keep in ("best", "last"))
    start = sharp(order_model, "reverse", init="full", iterations=0)(clips)
    assert best.loss < start.loss < last.loss
    np.testing.assert_allclose(best.loss, best.length_term + best.variation_term + best.score_term, rtol=1e-6)


def test_score_can_be_the_logit():
    result = sharp(change_model, score="logit")(BLIP)
    np.testing.assert_allclose(result.score_term, np.log(result.freeze_score / (1 - result.freeze_score)), atol=1e-4)


# Its parts.


def test_adam_equals_keras():
    """Kingma & Ba's algorithm against Keras' optimizer (whose epsilon sits a little elsewhere)."""
    variable = keras.Variable([1.0, -2.0, 3.0])
    optimizer = keras.optimizers.Adam(0.2, epsilon=1e-8)
    x, m, v = np.array([1.0, -2.0, 3.0], np.float32), np.zeros(3, np.float32), np.zeros(3, np.float32)
    for t in range(1, 6):
        gradient = np.cos(x)
        optimizer.apply([tf.constant(np.cos(variable.numpy()))], [variable])
        m, v, move = adam(gradient, t, m, v)
        x = x - 0.2 * move.numpy()
    np.testing.assert_allclose(x, variable.numpy(), atol=1e-5)


def test_total_variation():
    mask = np.array([[0, 1, 1, 0.5, 0.5], [1, 1, 1, 1, 1]], np.float32)
    np.testing.assert_allclose(total_variation(mask, "paper"), [1 + 0.125, 0])
    np.testing.assert_allclose(total_variation(mask, "published"), [2 * 1.125 - 1 - 0, 0])
    np.testing.assert_allclose(total_variation(mask, "paper", power=1), [1.5, 0])


def test_published_variation_visits_inner_frames_as_the_authors_code_does():
    mask = np.random.default_rng(0).random((1, 9), np.float32)
    m, expected = mask[0], 0.0
    for t in range(1, 8):
        expected += abs(m[t - 1] - m[t]) ** 3 + abs(m[t + 1] - m[t]) ** 3
    np.testing.assert_allclose(total_variation(mask), [expected], rtol=1e-5)


def test_gradient_of_the_variation_is_finite_where_frames_agree():
    mask = tf.ones((1, 4))
    with tf.GradientTape() as tape:
        tape.watch(mask)
        variation = total_variation(mask, power=1.0)
    np.testing.assert_array_equal(tape.gradient(variation, mask), np.zeros((1, 4)))


# Bad input.


def test_single_frame_clips():
    with pytest.raises(TfvidError, match="2 frames or more, got clips of a single frame"):
        TemporalMask(change_model(num_frames=1))(video(1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"perturbation": "freez"}, "unknown perturbation 'freez'; did you mean 'freeze'"),
        ({"variation": "l2"}, "unknown variation 'l2'; valid: published, paper"),
        ({"score": "loss"}, "unknown score"),
        ({"init": "centre"}, "unknown init 'centre'; did you mean 'central'"),
        ({"keep": "first"}, "unknown keep"),
        ({"variation_power": 0.5}, "variation_power >= 1"),
        ({"learning_rate": 0}, "learning_rate > 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(TfvidError, match=message):
        TemporalMask(change_model(), **options)


def test_labels_are_checked():
    with pytest.raises(TfvidError, match="labels: expected classes -1 to 1, got 2"):
        masks(iterations=0)(BLIP, labels=[2])


def test_a_perturbation_of_ones_own():
    def black_out(clips, mask):
        return clips * (1 - mask[:, :, tf.newaxis, tf.newaxis, tf.newaxis])

    result = sharp(change_model, black_out)(BLIP)
    assert bits(result.mask) == "00011000"
    assert result.score_term < 0.2
