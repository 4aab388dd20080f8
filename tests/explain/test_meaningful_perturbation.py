"""Meaningful perturbation in space: its parts by hand, and masks on a model whose answer is known."""

import numpy as np
import pytest
import tensorflow as tf
import toy_models
from bright_box import SHAPE, WHITE, box, inside, looks_at

from tfvid.core.errors import TfvidError
from tfvid.explain.masks.meaningful_perturbation import (
    MeaningfulPerturbation,
    centred_discs,
    shifted,
    spatial_variation,
)

QUICK = {"fill": "fade", "step": 1, "sigma": 0.5, "iterations": 40}


def test_variation_by_hand():
    """Of [[0, 1], [0, 3]]: 1 + 3 to the right, 0 + 2 down; cubes 1 + 27 + 8; a second frame of none halves it."""
    grid = np.zeros((1, 2, 2, 2), np.float32)
    grid[0, 0] = [[0, 1], [0, 3]]
    np.testing.assert_allclose(spatial_variation(tf.constant(grid[:, :1]), 3.0), [36])
    np.testing.assert_allclose(spatial_variation(tf.constant(grid), 3.0), [18])
    np.testing.assert_allclose(spatial_variation(tf.constant(grid[:, :1]), 1.0), [6])


def test_shifts_go_both_ways_and_the_edge_goes_on():
    """Of a jitter of 4, offset 0 is two pixels down and right, offset 3 one up and left."""
    mask = tf.reshape(tf.range(9.0), (1, 1, 3, 3))
    np.testing.assert_array_equal(shifted(mask, tf.constant([0, 2]), 4)[0, 0], [[0, 1, 2]] * 3)
    np.testing.assert_array_equal(shifted(mask, tf.constant([2, 3]), 4)[0, 0], [[1, 2, 2], [4, 5, 5], [7, 8, 8]])
    np.testing.assert_array_equal(shifted(mask, tf.constant([0, 0]), 1), mask)


def test_centred_discs():
    discs = centred_discs((3, 3), 2)
    np.testing.assert_array_equal(discs, [np.ones((3, 3)), np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]])])
    many = centred_discs((9, 6))
    assert (np.diff(many.sum(axis=(1, 2))) <= 0).all() and many[0].all() and many[5].any()


def test_loss_by_hand():
    """A full mask over white clips: the sum of a 12 x 12 grid times its weight, no changes, and the score of black."""
    model = looks_at(np.ones(SHAPE[:3]))
    result = MeaningfulPerturbation(model, length_weight=0.01, init="full", **QUICK | {"iterations": 0})(WHITE, 1)
    np.testing.assert_allclose(result.length_term, [1.44], rtol=1e-5)
    np.testing.assert_allclose(result.variation_term, [0], atol=1e-6)
    black = 1 / (1 + np.exp(6))
    np.testing.assert_allclose(result.score_term, [black], atol=1e-5)
    np.testing.assert_allclose(result.loss, [1.44 + black], rtol=1e-5)
    np.testing.assert_allclose(result.full_drop, [1 - 2 * black], atol=1e-5)
    np.testing.assert_allclose(result.attribution, np.ones((1, *SHAPE[:3])), atol=1e-5)


def test_it_begins_with_the_smallest_disc_that_does():
    """The class lives on the middle 2 x 2 pixels."""
    where = box((0, 4), (5, 7), (5, 7))
    full = MeaningfulPerturbation(looks_at(where), init="full", **QUICK | {"iterations": 0})(WHITE, 1)
    disc = MeaningfulPerturbation(looks_at(where), **QUICK | {"iterations": 0})(WHITE, 1)
    assert disc.native.sum() < 0.2 * full.native.sum()
    assert 1 - disc.score_term > 0.98 * full.full_drop
    # Nothing to be lowered: everything, and the result says so.
    none = MeaningfulPerturbation(looks_at(where), **QUICK | {"iterations": 0})(0 * WHITE, 1)
    assert none.native.all() and none.full_drop <= 1e-6


def test_the_mask_covers_what_the_class_lives_on():
    where = box((2, 4), (4, 10), (2, 8))
    options = QUICK | {"length_weight": 0.01}
    result = MeaningfulPerturbation(looks_at(where), **options)(WHITE, 1)
    begun = MeaningfulPerturbation(looks_at(where), **options | {"iterations": 0})(WHITE, 1)
    assert result.loss < begun.loss
    assert inside(result.attribution[0], where) > 0.7
    assert result.attribution[0][where > 0].mean() > 3 * result.attribution[0][where == 0].mean()
    assert result.score[0] > 0.99 and result.score_term[0] < 0.5
    assert result.native.shape == (1, 4, 12, 12) and (result.native >= 0).all() and (result.native <= 1).all()


def test_one_mask_for_the_clip():
    where = box((0, 4), (4, 10), (2, 8))
    result = MeaningfulPerturbation(looks_at(where), per="clip", length_weight=0.01, **QUICK)(WHITE, 1)
    assert result.native.shape == (1, 1, 12, 12)
    assert np.ptp(result.attribution, axis=1).max() == 0
    assert inside(result.attribution[0], where) > 0.7


@pytest.mark.long
def test_shifts_come_of_the_seed():
    model, clips = toy_models.build("functional"), toy_models.clips(2)
    first, again, other = (
        MeaningfulPerturbation(model, iterations=4, jitter=3, seed=s)(clips).native for s in (0, 0, 1)
    )
    np.testing.assert_allclose(first, again, atol=1e-4)
    assert np.abs(first - other).max() > 1e-3


def test_a_fill_of_ones_own():
    where = box((0, 4), (4, 10), (2, 8))
    result = MeaningfulPerturbation(looks_at(where), **QUICK | {"fill": tf.zeros_like, "iterations": 2})
    np.testing.assert_allclose(
        result(WHITE, 1).loss, MeaningfulPerturbation(looks_at(where), **QUICK | {"iterations": 2})(WHITE, 1).loss
    )


def test_refuses_options_out_of_range():
    for options, message in [
        ({"per": "video"}, "unknown per 'video'; valid: frame, clip"),
        ({"fill": "blurr"}, "unknown fill 'blurr'; did you mean 'blur'"),
        ({"init": "disc"}, "unknown init 'disc'"),
        ({"init_share": 0.0}, r"init_share in \(0, 1\], got 0.1, 0.0"),
        ({"jitter": 0}, "jitter >= 1, got None, None, 0"),
    ]:
        with pytest.raises(TfvidError, match=message):
            MeaningfulPerturbation(toy_models.build("functional"), **options)
