"""RISE in three dimensions."""

import functools

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
import toy_models
from toy_scores import PLAINLY, linear

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.rise import BORDERS, RISE, cell_size, draw, drawn_out


def test_drawing_out_by_hand():
    """Two cells over four voxels: drawn out to six, centres at 1 and 4, thirds between; a shift of 1 moves them on."""
    cells = np.array([0.0, 1.0], np.float32).reshape(1, 1, 1, 2)
    for shift, expected in ((0, [0, 0, 1 / 3, 2 / 3]), (1, [0, 1 / 3, 2 / 3, 1])):
        mask = drawn_out(cells, np.array([[0, 0, shift]], np.int32), (1, 1, 4))
        np.testing.assert_allclose(mask[0, 0, 0], expected, atol=1e-6)


def test_drawing_out_with_a_mirror_by_hand():
    """Three cells over six voxels, drawn out to eight: the first lies at -1/2 + 3/16 cells, which is seen at 5/16."""
    cells = np.array([0.0, 1.0, 0.0], np.float32).reshape(1, 1, 1, 3)
    mask = drawn_out(cells, np.zeros((1, 3), np.int32), (1, 1, 6), "mirror")
    np.testing.assert_allclose(mask[0, 0, 0], np.array([5, 1, 7, 13, 13, 7]) / 16, atol=1e-6)
    mask = drawn_out(cells, np.array([[0, 0, 1]], np.int32), (1, 1, 6), "mirror")
    np.testing.assert_allclose(mask[0, 0, 0], np.array([1, 7, 13, 13, 7, 1]) / 16, atol=1e-6)


# SciPy's "mirror", about the centre of the outermost cell, is what `skimage.transform.resize` calls "reflect".
@pytest.mark.parametrize(("border", "mode"), [("hold", "nearest"), ("mirror", "mirror")])
@pytest.mark.parametrize(("grid", "shape"), [((2, 3, 4), (5, 7, 8)), ((4, 7, 7), (2, 9, 30)), ((1, 1, 1), (3, 3, 3))])
def test_drawing_out_is_scipys_zoom(grid, shape, border, mode):
    cells, shifts = draw(20, grid, shape, 0.5, seed=3)
    masks = drawn_out(tf.cast(cells, tf.float32), shifts, shape, border)
    voxels = cell_size(shape, grid)
    large = [(n + 1) * size for n, size in zip(grid, voxels, strict=True)]
    for cell, shift, mask in zip(cells.numpy(), shifts.numpy(), masks.numpy(), strict=True):
        factors = [size / n for size, n in zip(large, grid, strict=True)]
        whole = scipy.ndimage.zoom(cell.astype(np.float64), factors, order=1, mode=mode, grid_mode=True)
        cut = tuple(slice(start, start + size) for start, size in zip(shift, shape, strict=True))
        np.testing.assert_allclose(mask, whole[cut], atol=1e-5)


def test_draws():
    cells, shifts = draw(2000, (2, 3, 3), (6, 7, 3), 0.3, seed=0)
    assert abs(cells.numpy().mean() - 0.3) < 0.02
    np.testing.assert_array_equal(shifts.numpy().max(0), [2, 2, 0])  # cells of 3, 3 and 1 voxels
    assert shifts.numpy().min() == 0
    np.testing.assert_allclose(shifts.numpy().mean(0), [1, 1, 0], atol=0.1)


def expected_map(gain, grid, keep):
    """E[s M] / E[M] where s = sum of gain * M, and the standard deviation of s.

    M[u] = sum_c W[u, c] C[c] with independent cells, so E[M[u] M[v]] = p^2 + p (1 - p) G[u, v], with G the mean over
    shifts of sum_c W[u, c] W[v, c], a product over the axes. Then

        E[s M[v]] / p = sum_u gain[u] (p + (1 - p) G[u, v])        Var[s] = p (1 - p) sum_uv gain[u] G[u, v] gain[v]
    """
    together = []
    for size, cells in zip(gain.shape, grid, strict=True):
        voxels = -(-size // cells)
        position = (np.arange((cells + 1) * voxels) + 0.5) * cells / ((cells + 1) * voxels) - 0.5
        weights = np.stack([np.interp(position, np.arange(cells), one) for one in np.eye(cells)], axis=1)
        together.append(np.mean([(w := weights[s : s + size]) @ w.T for s in range(voxels)], axis=0))
    near = np.einsum("abc,ta,hb,wc->thw", gain, *together)
    deviation = np.sqrt(keep * (1 - keep) * (gain * near).sum())
    return keep * gain.sum() + (1 - keep) * near, deviation


@pytest.mark.parametrize("keep", [0.5, 0.2])
def test_expectation_on_a_linear_model(keep):
    """The map's distance from its expectation is chance: no more than four standard errors of a mean over p N masks."""
    shape, grid, num_masks = (4, 5, 6), (2, 3, 2), 20000
    rng = np.random.default_rng(0)
    weights, clip = rng.normal(size=(*shape, 1)) + 1, rng.random((1, *shape, 1), np.float32)
    weights[2:, :, :3] *= -1  # a part that speaks against the class
    gain = (weights * clip[0])[..., 0]
    result = RISE(linear(weights), masks=num_masks, grid=grid, keep=keep, batch_size=2000, **PLAINLY)(clip, 0)
    expected, deviation = expected_map(gain, grid, keep)
    error = 4 * deviation / np.sqrt(keep * num_masks)
    np.testing.assert_allclose(result.attribution[0], expected, atol=error)
    assert np.ptp(expected) > 10 * error  # such a tolerance tells the map from a flat one


def test_a_constant_score_gives_a_constant_map():
    result = RISE(lambda clips: np.tile([0.25, 0.75], (len(clips), 1)), masks=50)(toy_models.clips(2))
    np.testing.assert_allclose(result.attribution, 0.75, rtol=1e-5)
    np.testing.assert_array_equal(result.forward_passes, [51, 51])


def test_voxels_never_shown_are_zero():
    result = RISE(linear(np.ones((1, 1, 2))), masks=1, grid=(1, 1, 2), keep=1e-6, **PLAINLY)(
        np.ones((1, 1, 1, 2, 1), np.float32), 0
    )
    np.testing.assert_array_equal(result.attribution, np.zeros((1, 1, 1, 2)))


def test_the_border_reaches_the_map():
    """The map of a sum of pixels, from the masks themselves."""
    clip = np.ones((1, 1, 1, 4, 1), np.float32)
    options = {"masks": 40, "grid": (1, 1, 2), "seed": 1} | PLAINLY
    hold, mirror = (RISE(linear(np.ones((1, 1, 4))), border=border, **options)(clip, 0) for border in BORDERS)
    cells, shifts = draw(40, (1, 1, 2), (1, 1, 4), 0.5, seed=1)
    for border, result in (("hold", hold), ("mirror", mirror)):
        masks = drawn_out(tf.cast(cells, tf.float32), shifts, (1, 1, 4), border).numpy()[:, 0, 0]
        expected = (masks.sum(1, keepdims=True) * masks).sum(0) / masks.sum(0)
        np.testing.assert_allclose(result.attribution[0, 0, 0], expected, rtol=1e-5)
    assert np.abs(hold.attribution - mirror.attribution).max() > 0.05


def test_bad_options():
    build = functools.partial(RISE, toy_models.build("functional"))
    for options in ({"masks": 0}, {"grid": (4, 7)}, {"grid": (0, 7, 7)}, {"keep": 1.0}, {"keep": 0}):
        with pytest.raises(TfvidError, match=r"expected masks >= 1, a grid \(t, h, w\), 0 < keep < 1; got"):
            build(**options)
    with pytest.raises(TfvidError, match="border 'wrap'"):
        build(border="wrap")
