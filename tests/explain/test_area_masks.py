"""Smooth masks from grids, and the loss of their area, worked by hand."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfvid.core.errors import TfvidError
from tfvid.explain.masks.area_masks import MaskGenerator, area_loss, default_sigma, default_step, mirrored, smooth_max


def test_one_grid_point_on_a_line():
    """One pixel a cell, sigma 2, so each pixel sees the points within 1 + 2 / 1 = 3 cells, 7 x 7 of them.

    Of the grid 0 0 0 0 1 0 0 0 0, one row, mirrored up and down, a pixel d to the side sees a column of seven ones, at
    distances hypot(d, 0..3), and 42 zeros.
    """
    grid = np.zeros((1, 9), np.float32)
    grid[0, 4] = 1
    expected = []
    for d in (4, 3, 2, 1, 0, 1, 2, 3, 4):
        ones = [np.exp(-2 * max(0, np.hypot(d, row) / 2 - 0.5) ** 2) for row in range(-3, 4)]
        over = sum(np.exp(20 * one) for one in ones) + 42  # a zero weighs exp(0)
        expected.append(sum(one * np.exp(20 * one) for one in ones) / over if d < 4 else 0)
    result = MaskGenerator((1, 9), step=1, sigma=2.0)(tf.constant(grid))[0]
    np.testing.assert_allclose(result, expected, atol=1e-5)
    np.testing.assert_allclose(result[4:], [1.0, 0.977, 0.591, 0.046, 0], atol=1e-3)


def test_kernel_values_between_points():
    """Cells of 2 pixels, sigma 1: pixels lie half a pixel off their point on both axes, to weigh exp(-2 .207^2)."""
    weights = MaskGenerator((4, 4), step=2, sigma=1.0).weights
    assert weights.shape == (4, 25)  # 1 + ceil(1 / 2) = 2 cells on every side
    np.testing.assert_allclose(weights[:, 12], np.full(4, np.exp(-2 * (np.sqrt(0.5) - 0.5) ** 2)), rtol=1e-6)
    # The pixel on the upper left, and the point to the left of its own: 1.5 and 0.5 away.
    np.testing.assert_allclose(weights[0, 11], np.exp(-2 * (np.sqrt(2.5) - 0.5) ** 2), rtol=1e-6)


@pytest.mark.parametrize("size, step", [((12, 12), 3), ((13, 10), 4), ((5, 7), 7)])
def test_a_constant_grid_gives_the_same_mask_in_every_cell(size, step):
    generate = MaskGenerator(size, step, sigma=1.5 * step)
    assert generate.grid_size == (-(-size[0] // step), -(-size[1] // step))
    full = generate(tf.ones((2, 3, *generate.grid_size)))
    assert full.shape == (2, 3, *size)
    assert 0.9 < tf.reduce_min(full) <= tf.reduce_max(full) <= 1
    np.testing.assert_array_equal(generate(tf.zeros(generate.grid_size)), np.zeros(size))
    if size == (12, 12):
        np.testing.assert_array_equal(full[0, 0, :3, :3], full[0, 0, 6:9, 3:6])


def test_every_grid_point_has_the_same_pull():
    """Shrinking a full mask takes the corners no longer than the middle."""
    generate = MaskGenerator((12, 12), 3, sigma=5.0)
    grid = tf.fill((4, 4), 0.7)
    with tf.GradientTape() as tape:
        tape.watch(grid)
        area = tf.reduce_sum(generate(grid))
    gradient = tape.gradient(area, grid)
    np.testing.assert_allclose(gradient, np.full((4, 4), gradient[0, 0]), rtol=1e-3)
    assert tf.reduce_sum(gradient) > 100


def test_mirrored():
    np.testing.assert_array_equal(mirrored(3, 2), [1, 0, 0, 1, 2, 2, 1])
    np.testing.assert_array_equal(mirrored(1, 3), np.zeros(7))


def test_smooth_max_and_its_gradient():
    """Against the formula as it stands, and numeric differences of it in float64."""
    rng = np.random.default_rng(0)
    values, weights = rng.random((2, 3, 4), np.float32), rng.random((5, 4), np.float32)

    def plainly(values):
        s = values[:, :, np.newaxis].astype(float) * weights
        return (s * np.exp(20 * s)).sum(-1) / np.exp(20 * s).sum(-1)

    upstream = rng.random((2, 3, 5), np.float32)
    tensor = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        result = smooth_max(tensor, weights, 20.0)
        weighed = tf.reduce_sum(upstream * result)
    np.testing.assert_allclose(result, plainly(values), rtol=1e-5)
    numeric = np.zeros(values.shape)
    for place in np.ndindex(values.shape):
        move = np.zeros(values.shape)
        move[place] = 1e-5
        numeric[place] = np.sum(upstream * (plainly(values + move) - plainly(values - move))) / 2e-5
    np.testing.assert_allclose(tape.gradient(weighed, tensor), numeric, atol=1e-3)
    np.testing.assert_allclose(smooth_max(tf.constant([[[0.2, 0.8]]]), np.ones((1, 2)), 0.0), [[[0.5]]])


def test_area_loss_by_hand():
    """Values 0.1 0.9 0.6 0.2: for half the volume, 0.6 and 0.9 are drawn to 1, the others to 0."""
    values = tf.constant([[[0.1, 0.9, 0.6, 0.2]]])
    np.testing.assert_allclose(area_loss(values, [0.5]), [[(0.01 + 0.01 + 0.16 + 0.04) / 4]], rtol=1e-5)
    np.testing.assert_allclose(area_loss(values, [0.25]), [[(0.01 + 0.01 + 0.36 + 0.04) / 4]], rtol=1e-5)
    np.testing.assert_allclose(area_loss(values, [0.74]), area_loss(values, [0.5]))  # no third value in 2.96 of them
    np.testing.assert_allclose(area_loss(values, [0.01]), area_loss(values, [0.25]))  # one at least
    np.testing.assert_allclose(area_loss(tf.constant([[[0.0, 1.0, 1.0, 0.0]]]), [0.5]), [[0]], atol=1e-7)


def test_area_loss_of_ties_is_the_mean_over_their_orders():
    """Three of 0.8 and one of 0.2, half of the volume to be 1: two of the three, any two."""
    values = tf.constant([[[0.8, 0.8, 0.2, 0.8]]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = area_loss(values, [0.5])
    np.testing.assert_allclose(loss, [[(2 * 0.04 + 0.64 + 0.04) / 4]], rtol=1e-5)
    each = 2 * (0.8 - 2 / 3) / 4  # drawn to 1 by two chances in three
    np.testing.assert_allclose(tape.gradient(loss, values), [[[each, each, 2 * 0.2 / 4, each]]], rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1, width=16), min_size=4, max_size=12), st.sampled_from([0.25, 0.5, 0.9]))
def test_area_loss_is_the_sorted_one(values, area):
    values = np.array(values, np.float32)
    count = max(1, int(area * len(values) + 1e-6))
    r = np.arange(len(values)) >= len(values) - count
    expected = np.mean((np.sort(values) - r) ** 2)
    np.testing.assert_allclose(area_loss(tf.constant(values[None, None]), [area]), [[expected]], atol=1e-5)


def test_each_area_has_its_own_masks():
    values = np.random.default_rng(0).random((2, 2, 3, 10), np.float32)
    both = area_loss(tf.constant(values), [0.1, 0.5])
    assert both.shape == (2, 2)
    for i, area in enumerate([0.1, 0.5]):
        np.testing.assert_allclose(area_loss(tf.constant(values[:, i : i + 1]), [area])[:, 0], both[:, i], rtol=1e-6)


def test_defaults_are_the_published_sizes():
    assert [default_sigma((side, side + 9)) for side in (8, 56, 112, 224)] == [1, 5, 11, 23]
    assert [default_step((side + 9, side)) for side in (8, 56, 112, 224)] == [1, 3, 7, 7]


def test_refuses_what_makes_no_mask():
    with pytest.raises(TfvidError, match="expected step >= 1, sigma > 0 and coldness >= 0, got 0, 2.0"):
        MaskGenerator((8, 8), 0, 2.0)
