"""Freeze and reverse against a plain NumPy loop, and the worked examples of the paper as literals."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfvid.core.errors import TfvidError
from tfvid.perturb import PERTURBATIONS
from tfvid.perturb.temporal import freeze, freeze_matrix, mix, reverse, reverse_matrix


def freeze_loop(clip, mask):
    frozen = clip.copy()
    for t in range(1, len(clip)):
        frozen[t] = (1 - mask[t]) * clip[t] + mask[t] * frozen[t - 1]
    return frozen


def reverse_loop(clip, mask):
    result = clip.copy()
    t = 0
    while t < len(clip):
        stop = t
        while stop < len(clip) and mask[stop] > 0.1:
            stop += 1
        for u in range((stop - t) // 2):
            first, last, w = t + u, stop - 1 - u, mask[t + u]
            result[first] = (1 - w) * clip[first] + w * clip[last]
            result[last] = (1 - w) * clip[last] + w * clip[first]
        t = max(stop, t + 1)
    return result


LOOPS = {"freeze": (freeze, freeze_loop), "reverse": (reverse, reverse_loop)}


def frames(*values):
    """A clip whose frames are single pixels of the given values."""
    return np.reshape(np.asarray(values, np.float32), (1, -1, 1, 1, 1))


def bits(text):
    return np.array([[float(bit) for bit in text]], np.float32)


# Values on either side of every edge: exactly 0 and 1, just below and above the reverse threshold.
masks = st.integers(2, 9).flatmap(
    lambda length: st.lists(
        st.one_of(st.sampled_from([0.0, 1.0, 0.05, 0.2]), st.floats(0, 1, width=32)), min_size=length, max_size=length
    )
)


@pytest.mark.parametrize("name", LOOPS)
@settings(max_examples=60, deadline=None)
@given(mask=masks)
def test_values_equal_a_plain_loop(name, mask):
    perturb, loop = LOOPS[name]
    mask = np.asarray(mask, np.float32)
    clip = np.random.default_rng(len(mask)).random((len(mask), 2, 3, 3), np.float32)
    np.testing.assert_allclose(perturb(clip[None], mask[None])[0], loop(clip, mask), atol=1e-6)


@pytest.mark.parametrize("name", LOOPS)
@settings(max_examples=20, deadline=None)
@given(mask=masks)
def test_gradients_equal_numeric_ones_of_the_loop(name, mask):
    """The loop in float64, each mask value moved a little: central differences."""
    perturb, loop = LOOPS[name]
    mask = np.asarray(mask, np.float64)
    mask[np.abs(mask - 0.1) < 1e-3] = 0.2  # reverse is not differentiable where a run begins or ends
    rng = np.random.default_rng(len(mask))
    clip, weights = rng.random((2, len(mask), 2, 2, 1))

    def objective(mask):
        return np.sum(weights * loop(clip, mask))

    step = 1e-4 * np.eye(len(mask))
    numeric = [(objective(mask + move) - objective(mask - move)) / 2e-4 for move in step]
    variable = tf.constant(mask[None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        value = tf.reduce_sum(weights * perturb(clip[None], variable))
    np.testing.assert_allclose(tape.gradient(value, variable)[0], numeric, atol=1e-4)


def test_reverse_example_of_the_paper():
    reversed_clip = reverse(frames(*range(1, 17)), bits("0001111100000110"))
    expected = [1, 2, 3, 8, 7, 6, 5, 4, 9, 10, 11, 12, 13, 15, 14, 16]
    np.testing.assert_array_equal(tf.reshape(reversed_clip, [-1]), expected)


def test_freeze_binary_example():
    frozen = freeze(frames(*range(1, 9)), bits("10110001"))
    np.testing.assert_array_equal(tf.reshape(frozen, [-1]), [1, 2, 2, 2, 5, 6, 7, 7])


def test_soft_examples():
    np.testing.assert_allclose(tf.reshape(freeze(frames(1, 2, 3), [[0.0, 0.5, 0.25]]), [-1]), [1, 1.5, 2.625])
    np.testing.assert_allclose(tf.reshape(reverse(frames(1, 2, 3), [[0.5, 0.2, 0.9]]), [-1]), [2, 2, 2])
    np.testing.assert_allclose(tf.reshape(reverse(frames(1, 2, 3), [[0.05, 0.2, 0.9]]), [-1]), [1, 2.2, 2.8], rtol=1e-6)


def test_reverse_threshold_is_strict_and_named():
    np.testing.assert_array_equal(tf.reshape(reverse(frames(1, 2), [[0.1, 0.1]]), [-1]), [1, 2])
    np.testing.assert_array_equal(tf.reshape(reverse(frames(1, 2), [[0.6, 0.4]], threshold=0.5), [-1]), [1, 2])


@pytest.mark.parametrize("matrix", [freeze_matrix, reverse_matrix])
def test_rows_sum_to_one(matrix):
    mask = np.random.default_rng(0).random((3, 12), np.float32)
    np.testing.assert_allclose(tf.reduce_sum(matrix(mask), -1), np.ones((3, 12)), atol=1e-6)


def test_first_mask_value_has_no_effect_on_freeze():
    mask = np.random.default_rng(1).random((1, 6), np.float32)
    other = mask.copy()
    other[0, 0] = 1 - other[0, 0]
    np.testing.assert_array_equal(freeze_matrix(mask), freeze_matrix(other))


@pytest.mark.parametrize("matrix", [freeze_matrix, reverse_matrix])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_gradient_is_finite_at_the_ends(matrix, value):
    mask = tf.fill((1, 5), value)
    with tf.GradientTape() as tape:
        tape.watch(mask)
        result = tf.reduce_sum(matrix(mask) * tf.random.stateless_normal((1, 5, 5), (0, 1)))
    assert np.isfinite(tape.gradient(result, mask)).all()


@pytest.mark.parametrize("name", list(PERTURBATIONS))
def test_compiles_for_any_batch_size_with_one_trace(name):
    perturb = tf.function(
        PERTURBATIONS.find(name), input_signature=[(tf.TensorSpec((None, 6, 4, 4, 3))), tf.TensorSpec((None, 6))]
    )
    rng = np.random.default_rng(2)
    for batch in (1, 3):
        clips, mask = rng.random((batch, 6, 4, 4, 3), np.float32), rng.random((batch, 6), np.float32)
        np.testing.assert_allclose(perturb(clips, mask), PERTURBATIONS.find(name)(clips, mask), atol=1e-6)
    assert perturb.experimental_get_tracing_count() == 1


def test_dtypes():
    mask = bits("0110")
    assert freeze(np.full((1, 4, 1, 1, 1), 255, np.uint8), mask).dtype == tf.float32
    np.testing.assert_array_equal(freeze(np.full((1, 4, 1, 1, 1), 255, np.uint8), mask), np.full((1, 4, 1, 1, 1), 255))
    for dtype in (tf.bfloat16, tf.float16, tf.float64):
        clips = tf.cast(frames(1, 2, 3, 4), dtype)
        assert freeze(clips, mask).dtype == dtype
        np.testing.assert_array_equal(tf.cast(freeze(clips, mask), tf.float32), frames(1, 1, 1, 4))


def test_mix_is_one_matrix_product_a_clip():
    matrix = np.random.default_rng(3).random((2, 3, 3), np.float32)
    clips = np.random.default_rng(4).random((2, 3, 2, 2, 1), np.float32)
    np.testing.assert_allclose(
        mix(clips, matrix)[1, 2], sum(matrix[1, 2, s] * clips[1, s] for s in range(3)), rtol=1e-5
    )


@pytest.mark.parametrize("perturb", [freeze, reverse])
def test_refuses_what_cannot_be_masked(perturb):
    with pytest.raises(TfvidError, match="single frame"):
        perturb(frames(1), [[1.0]])
    with pytest.raises(TfvidError, match=r"got \(1, 3, 1, 1, 1\) and \(1, 2\)"):
        perturb(frames(1, 2, 3), [[1.0, 0.0]])
    with pytest.raises(TfvidError, match="expected clips"):
        perturb(frames(1, 2, 3)[0], [[1.0, 0.0, 0.0]])
