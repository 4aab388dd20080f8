"""The search for the best contiguous mask: never worse than trying them all, and with fewer passes."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from hypothesis import given, settings
from hypothesis import strategies as st

from tfvid.errors import TfvidError
from tfvid.explain.temporal_mask import TemporalMask, total_variation
from tfvid.explain.windows import distinct, lowest, window_masks
from tfvid.perturb.temporal import freeze, freeze_matrix, reverse_matrix


def test_window_masks():
    expected = [[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 1, 0], [0, 1, 1], [0, 0, 1]]
    np.testing.assert_array_equal(window_masks(3), expected)
    assert window_masks(16).shape == (136, 16)


def test_of_masks_that_freeze_alike_the_cheapest_is_kept():
    """Freezing [0, 2) and [1, 2) shows the same; [0, 1) changes nothing."""
    masks = window_masks(3)
    costs = np.array([1, 2, 3, 4, 5, 6.0])
    np.testing.assert_array_equal(masks[distinct(masks, costs, freeze_matrix)], [[1, 1, 0], [1, 1, 1], [0, 0, 1]])
    np.testing.assert_array_equal(masks[distinct(masks, -costs, freeze_matrix)], [[0, 1, 0], [0, 1, 1], [0, 0, 1]])
    assert len(distinct(window_masks(16), np.ones(136), freeze_matrix)) == 120
    assert len(distinct(window_masks(16), np.ones(136), reverse_matrix)) == 120  # a run of one frame stays as it is


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30), st.integers(1, 7))
def test_lowest_is_the_minimum(pairs, chunk):
    bounds, scores = np.array(pairs).T
    asked = []

    def ask(rows):
        assert len(rows) == chunk
        asked.extend(rows)
        return scores[rows]

    row, loss, tried = lowest(bounds, ask, chunk)
    assert loss == (bounds + scores).min() == bounds[row] + scores[row]
    assert tried == len(set(asked)) <= len(pairs)


def test_lowest_asks_for_no_more_than_it_must():
    asked = []
    bounds = np.array([0.3, 0.1, 0.2, 0.4])

    def ask(rows):
        asked.extend(rows.tolist())
        return np.array([0.5, 0.15, 0.0, 0.0])[rows]

    assert lowest(bounds, ask, 1) == (2, 0.2, 2)
    assert asked == [1, 2]


@pytest.fixture(scope="module")
def model():
    """Large scores, so that masks differ between clips."""
    keras.utils.set_random_seed(0)
    model = toy_models.build("functional")
    model.get_layer("head").kernel.assign(3 * model.get_layer("head").kernel)
    return model


def brute_force(model, clip, target):
    """The lowest Eq. 1 loss over the empty mask and all windows, each tried by itself."""
    length = clip.shape[0]
    losses = [float(tf.nn.softmax(model(clip[np.newaxis]))[0, target])]
    for start, stop in itertools.combinations(range(length + 1), 2):
        mask = np.zeros((1, length), np.float32)
        mask[0, start:stop] = 1
        cost = 0.01 * mask.sum() + 0.02 * float(total_variation(mask)[0])
        losses.append(cost + float(tf.nn.softmax(model(freeze(clip[np.newaxis], mask)))[0, target]))
    return min(losses)


def test_search_finds_the_best_window(model):
    clips = toy_models.clips(4)
    explain = TemporalMask(model, method="search", batch_size=3)
    result = explain(clips, [0, 1, 2, 0])
    expected = [brute_force(model, clip, target) for clip, target in zip(clips, [0, 1, 2, 0], strict=True)]
    np.testing.assert_allclose(result.loss, expected, atol=1e-5)
    np.testing.assert_allclose(result.window_loss, expected, atol=1e-5)
    np.testing.assert_array_equal(result.mask, result.mask.round())
    np.testing.assert_array_equal(result.backward_passes, 0)
    # 15 windows of 6 frames differ; besides, twice the clip as it is, the full drop, the objective twice, FS and RS.
    assert result.forward_passes.max() <= 15 + 7
    np.testing.assert_allclose(result.loss, result.length_term + result.variation_term + result.score_term, rtol=1e-6)
    assert len(np.unique(result.mask, axis=0)) > 1


def test_search_leaves_a_class_alone_that_has_little_to_lose(model):
    """Where the score is below the price of any mask, the best one is empty."""
    scores = tf.nn.softmax(model(toy_models.clips(4)))
    clip, target = np.argwhere(scores.numpy() < 0.01)[0]
    result = TemporalMask(model, method="search")(toy_models.clips(4)[clip : clip + 1], int(target))
    np.testing.assert_array_equal(result.mask, np.zeros((1, 6)))
    np.testing.assert_allclose(result.loss, result.original_score, rtol=1e-4)


def test_descending_from_the_best_window_is_no_worse(model):
    """Not for the last clip either, where no mask pays and a soft one costs a little."""
    clips = toy_models.clips(3)
    options = {"iterations": 40, "learning_rate": 0.3, "init_logit": 3.0, "keep": "best"}
    searched = TemporalMask(model, method="search")(clips)
    result = TemporalMask(model, method="search+gradient", **options)(clips)
    np.testing.assert_array_equal(result.initial_mask, searched.mask)
    np.testing.assert_allclose(result.window_loss, searched.loss, atol=1e-5)
    assert (result.loss[:2] < searched.loss[:2] - 1e-3).all()
    np.testing.assert_array_equal(result.mask[2], searched.mask[2])
    np.testing.assert_array_equal(result.backward_passes, 40)


def test_passes_of_the_published_procedure_are_counted(model):
    """3 centred windows of 6 frames, 5 steps, and the clip as it is, the mask's objective, FS and RS."""
    result = TemporalMask(model, iterations=5)(toy_models.clips(2))
    np.testing.assert_array_equal(result.forward_passes, 3 + 5 + 4)
    np.testing.assert_array_equal(result.backward_passes, 5)
    assert np.isnan(result.window_loss).all()


def test_search_wants_a_score_with_a_floor(model):
    with pytest.raises(TfvidError, match="method 'search' wants score='probability'"):
        TemporalMask(model, method="search", score="logit")
    with pytest.raises(TfvidError, match="did you mean 'search'"):
        TemporalMask(model, method="serch")
