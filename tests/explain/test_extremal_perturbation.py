"""Extremal perturbations in 2-D and 3-D, and STEP: their parts by hand, and masks on a model whose answer is known."""

import numpy as np
import pytest
import tensorflow as tf
import toy_models
from bright_box import SHAPE, WHITE, box, inside, looks_at

from tfvid.core.errors import TfvidError
from tfvid.explain.masks import learned_mask
from tfvid.explain.masks.extremal_perturbation import ExtremalPerturbation, descent, grown, minus_log
from tfvid.explain.masks.extremal_perturbation_3d import ExtremalPerturbation3D
from tfvid.explain.masks.step import STEP, core_means, ellipsoid

METHODS = [ExtremalPerturbation, ExtremalPerturbation3D, STEP]


QUICK = {"perturbation": "fade", "step": 2, "sigma": 2.0, "iterations": 60, "learning_rate": 0.5}


# The parts.


def test_a_step_with_momentum_and_dampening_by_hand():
    """g = 1 twice, then 0: v = 1, then .9 + .1 = 1, then .9. Values stay in [0, 1]."""
    options = {"learning_rate": 0.1, "momentum": 0.9, "dampening": 0.9}
    grid, velocity = tf.constant([0.5, 0.05]), tf.zeros(2)
    for step, (g, v, expected) in enumerate([(1.0, 1.0, [0.4, 0.0]), (1.0, 1.0, [0.3, 0.0]), (0.0, 0.9, [0.21, 0.0])]):
        grid, velocity = descent(tf.constant(step), tf.fill((2,), g), grid, velocity, **options)
        np.testing.assert_allclose(velocity, [v, v], rtol=1e-6)
        np.testing.assert_allclose(grid, expected, atol=1e-6)
    grid, velocity = descent(tf.constant(1), tf.ones(1), tf.ones(1), tf.fill((1,), 2.0), **options)
    np.testing.assert_allclose(velocity, [0.9 * 2 + 0.1])


def test_the_area_weight_grows():
    """x1.0008668 a step: twice the weight after 800 steps."""
    np.testing.assert_allclose(grown(300.0, 1.0008668, tf.constant(0)), 300)
    np.testing.assert_allclose(grown(300.0, 1.0008668, tf.constant(1)), 300.26004, rtol=1e-6)
    np.testing.assert_allclose(grown(300.0, 1.0008668, tf.constant(800)), 600, rtol=1e-3)


def test_minus_log():
    np.testing.assert_allclose(minus_log(tf.constant([1.0, np.exp(-2)])), [0, 2], atol=1e-6)
    assert np.isfinite(minus_log(tf.constant(0.0)))


def test_ellipsoid():
    """Three by three by three without its corners and edges' ends: the centre and 18 of its neighbours."""
    inside = ellipsoid((3, 3, 3)) > 0
    expected = np.ones((3, 3, 3), bool)
    expected[::2, ::2, ::2] = False  # (1 + 1 + 1) (2/3)^2 > 1; edges' middles, 8/9, are in
    np.testing.assert_array_equal(inside, expected)
    np.testing.assert_allclose(ellipsoid((3, 3, 3))[1, 1, 1], 1 / 19)
    np.testing.assert_array_equal(ellipsoid((2, 1, 1)), np.full((2, 1, 1), 0.5))
    full = ellipsoid((8, 11, 11))
    np.testing.assert_allclose(full.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose((full > 0).mean(), np.pi / 6, atol=0.05)  # of a box


def test_cores_of_a_small_volume():
    """Two frames of 2 x 4, cores of 2 frames x 2 x 2 (all of the box: hypot < 1), two of them side by side."""
    mask = np.arange(16, dtype=np.float32).reshape(1, 1, 2, 2, 4)
    assert (ellipsoid((2, 2, 2)) == 1 / 8).all()
    cores = core_means(tf.constant(mask), ellipsoid((2, 2, 2)), 2)
    np.testing.assert_allclose(tf.reshape(cores, [-1]), [np.mean([0, 1, 4, 5, 8, 9, 12, 13]), 8.5])
    in_time = core_means(tf.constant(mask), ellipsoid((1, 2, 2)), 2)  # on every frame
    np.testing.assert_allclose(tf.reshape(in_time, [-1]), [2.5, 4.5, 10.5, 12.5])


def test_core_loss_by_hand():
    """Of four cores with means 1, .5, 0, 0, for half of the clip, the first two are drawn to 1."""
    explain = STEP(looks_at(np.ones(SHAPE[:3])), areas=[0.5], core_frames=2, core_size=2)
    mask = np.zeros((1, 1, 2, 2, 8), np.float32)
    mask[..., :2] = 1
    mask[..., 0, 2:4] = 1
    np.testing.assert_allclose(explain.core_penalty(tf.constant(mask)), [[0.5**2 / 4]])


def test_core_weight_counts_from_core_after_on():
    explain = STEP(toy_models.build("functional"), areas=[0.5], core_after=3, core_weight=10.0, area_weight=0.0)
    mask = tf.constant(np.random.default_rng(0).random((1, 1, *SHAPE[:3]), np.float32))
    np.testing.assert_array_equal(explain.regularizer(mask, tf.constant(2)), [[0]])
    np.testing.assert_allclose(explain.regularizer(mask, tf.constant(3)), 10 * explain.core_penalty(mask))


def test_whose_volume_the_area_is_of():
    """All of one frame of two and nothing of the other: half of the clip, and not half of each frame."""
    mask = np.zeros((1, 1, 2, 4, 4), np.float32)
    mask[:, :, 0] = 1
    model = toy_models.build("functional")
    np.testing.assert_array_equal(ExtremalPerturbation3D(model, [0.5]).area_penalty(tf.constant(mask)), [[0]])
    np.testing.assert_array_equal(ExtremalPerturbation(model, [0.5]).area_penalty(tf.constant(mask)), [[0.5]])


# What is learned.


def test_each_frame_shows_what_the_class_lives_on():
    """A quarter of each frame, 6 x 6 of 12 x 12 pixels."""
    where = box((0, 4), (4, 10), (2, 8))
    explain = ExtremalPerturbation(looks_at(where), areas=[0.25], **QUICK)
    result = explain(WHITE, 1)
    np.testing.assert_allclose(result.masks.mean(axis=(1, 3, 4)), np.full((1, 4), 0.25), atol=0.05)
    assert inside(result.attribution[0], where) > 0.6  # of a smooth mask; the box is a quarter
    assert result.score[0] > 0.99 and result.shown_score[0, 0] > 0.9
    np.testing.assert_allclose(result.attribution, result.masks[:, 0])
    np.testing.assert_array_equal(result.iterations, [60])


@pytest.mark.parametrize("method", [ExtremalPerturbation3D, STEP])
def test_the_volume_is_shown_when_it_counts(method):
    """Half of the frames, a quarter of each: an eighth of the clip."""
    where = box((2, 4), (4, 10), (2, 8))
    options = {"core_after": 20, "core_frames": 2, "core_size": 4} if method is STEP else {}
    result = method(looks_at(where), areas=[1 / 8, 0.5], **QUICK, **options)(WHITE, 1)
    np.testing.assert_allclose(result.masks.mean(axis=(2, 3, 4)), [[1 / 8, 0.5]], atol=0.05)
    profile = result.masks[0, 0].mean(axis=(1, 2))
    assert profile[2:4].sum() > 0.8 * profile.sum()
    assert inside(result.masks[0, 0], where) > 0.5
    assert inside(result.masks[0, 0], where) > inside(result.masks[0, 1], where)
    np.testing.assert_allclose(result.attribution, result.masks.mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_losses_fall(method):
    """With the same weights before and after; both terms together."""
    options = QUICK | {"area_growth": 1.0, "learning_rate": 0.2}
    options |= {"core_after": 0, "core_frames": 2, "core_size": 4} if method is STEP else {}
    model = looks_at(box((2, 4), (4, 10), (2, 8)))
    before = method(model, [0.1, 0.3], **options | {"iterations": 0})(WHITE, 1)
    after = method(model, [0.1, 0.3], **options | {"iterations": 30})(WHITE, 1)
    assert (after.loss < 0.5 * before.loss).all()
    np.testing.assert_array_equal(before.iterations, [0])
    # Nothing is hidden in the beginning: a smooth maximum of ones is a little less than one.
    np.testing.assert_allclose(before.shown_score[0], before.score.repeat(2), atol=0.05)


def test_the_loss_is_the_sum_of_its_terms():
    result = ExtremalPerturbation(looks_at(box((0, 4), (4, 10), (2, 8))), [0.1, 0.3], **QUICK | {"iterations": 3})(
        0.8 * WHITE, 1
    )
    expected = -np.log(result.shown_score) + 300 * 1.0008668**3 * result.area_loss
    np.testing.assert_allclose(result.loss, expected, rtol=1e-4)


def test_areas_do_not_depend_on_one_another():
    model, clips = looks_at(box((2, 4), (4, 10), (2, 8))), np.random.default_rng(0).random((2, *SHAPE), np.float32)
    both = ExtremalPerturbation3D(model, [0.1, 0.4], **QUICK | {"iterations": 4})(clips)
    one = ExtremalPerturbation3D(model, [0.4], **QUICK | {"iterations": 4})(clips)
    np.testing.assert_allclose(one.masks[:, 0], both.masks[:, 1], atol=1e-4)


def test_a_long_run_is_one_of_several_calls(capsys, monkeypatch):
    """The compiled loop is called for 50 steps at a time: the count of steps goes on, and so do the moments."""
    model, clips = looks_at(box((0, 4), (4, 10), (2, 8))), 0.8 * WHITE
    options = QUICK | {"iterations": 55, "learning_rate": 0.1, "progress": True}
    explain = ExtremalPerturbation(model, [0.25], **options)
    result = explain(clips, 1)
    assert explain.traces == 1
    assert "50/55" in capsys.readouterr().err

    monkeypatch.setattr(learned_mask, "STEPS_AT_ONCE", 55)
    np.testing.assert_allclose(explain(clips, 1).masks, result.masks, atol=1e-4)


def test_refuses_options_out_of_range():
    model = toy_models.build("functional")
    for options, message in [
        ({"areas": [0.1, 1.0]}, r"areas: expected shares between 0 and 1, got \(0.1, 1.0\)"),
        ({"areas": []}, "areas: expected shares"),
        ({"perturbation": "fad"}, "unknown perturbation 'fad'; did you mean 'fade'"),
        ({"iterations": -1}, "expected iterations >= 0, got -1"),
        ({"momentum": 1.0}, r"momentum and dampening in \[0, 1\)"),
        ({"core_frames": 0}, "core_frames and core_size of 1 or more"),
    ]:
        with pytest.raises(TfvidError, match=message):
            STEP(model, **options)
    with pytest.raises(TfvidError, match="expected step >= 1"):
        STEP(model, step=0)(toy_models.clips(1))
