"""The search for the best contiguous mask: never worse than trying them all, and with fewer passes."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from hypothesis import given, settings
from hypothesis import strategies as st

from tfvid.errors import ModelError, TfvidError
from tfvid.explain.mask_search import ClipObjective, Remembered, descended, lbfgs
from tfvid.explain.objective import total_variation
from tfvid.explain.temporal_mask import TemporalMask
from tfvid.explain.windows import Window, central_window, coarse_to_fine, distinct, lowest, window_masks
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
        assert len(rows) <= chunk
        asked.extend(rows)
        return scores[rows]

    row, loss = lowest(bounds, ask, chunk)
    assert loss == (bounds + scores).min() == bounds[row] + scores[row]
    assert len(asked) == len(set(asked)) <= len(pairs)


def test_lowest_asks_for_no_more_than_it_must():
    asked = []
    bounds = np.array([0.3, 0.1, 0.2, 0.4])

    def ask(rows):
        asked.extend(rows.tolist())
        return np.array([0.5, 0.15, 0.0, 0.0])[rows]

    assert lowest(bounds, ask, 1) == (2, 0.2)
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
    # 15 windows of 6 frames differ, and the whole clip; besides, the clip as it is, the objective in the end and RS.
    assert result.forward_passes.max() <= 15 + 1 + 3
    np.testing.assert_allclose(result.loss, result.length_term + result.variation_term + result.score_term, rtol=1e-6)
    assert len(np.unique(result.mask, axis=0)) > 1


def test_search_leaves_a_class_alone_that_has_little_to_lose(model):
    """Where the score is below the price of any mask, the best one is empty."""
    scores = tf.nn.softmax(model(toy_models.clips(4)))
    clip, target = np.argwhere(scores.numpy() < 0.01)[0]
    result = TemporalMask(model, method="search")(toy_models.clips(4)[clip : clip + 1], int(target))
    np.testing.assert_array_equal(result.mask, np.zeros((1, 6)))
    np.testing.assert_allclose(result.loss, result.original_score, rtol=1e-4)


def test_descending_from_a_window(model):
    """Lower than the best binary window; the last clip's best mask is the empty one, and stays so."""
    clips = toy_models.clips(3)
    searched = TemporalMask(model, method="search")(clips)
    result = TemporalMask(model, method="search+gradient")(clips)
    np.testing.assert_array_equal(result.initial_mask[:, 5], np.ones(3))
    np.testing.assert_array_equal(result.initial_mask[:, :4], np.zeros((3, 4)))
    assert (result.loss[:2] < searched.loss[:2] - 1e-3).all() and (result.loss[:2] < result.window_loss[:2]).all()
    np.testing.assert_array_equal(result.mask[2], np.zeros(6))
    assert result.mask.min() >= 0 and result.mask.max() <= 1
    np.testing.assert_array_equal(result.iterations, result.backward_passes)
    assert (result.backward_passes <= 6 + 6 + 12 + 30).all()
    one = TemporalMask(model, method="search+gradient", iterations=1)(clips)
    assert (one.backward_passes <= 4).all()  # one from each start
    np.testing.assert_allclose(one.loss[:2], one.window_loss[:2], atol=1e-6)  # the window's own gradient is all it took


def test_descending_is_no_worse_than_the_published_procedure(model):
    clips = toy_models.clips(6)
    published = TemporalMask(model)(clips)
    result = TemporalMask(model, method="search+gradient")(clips)
    assert (result.loss <= published.loss + 0.005).all()
    assert (result.forward_passes <= 100).all() and (result.backward_passes <= 6 + 6 + 12 + 30).all()


def test_windows_with_soft_and_sharp_edges():
    np.testing.assert_array_equal(Window(2, 3).mask(5), [0, 0.5, 1, 0.5, 0])
    np.testing.assert_array_equal(Window(2, 3, before=0).mask(5), [0, 0, 1, 0.5, 0])
    np.testing.assert_array_equal(Window(2, 3, after=0).mask(5), [0, 0.5, 1, 0, 0])
    np.testing.assert_array_equal(Window(0, 5).mask(5), [1, 1, 1, 1, 1])
    np.testing.assert_array_equal(Window(0, 1).mask(5), [1, 0.5, 0, 0, 0])


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.data())
def test_coarse_search_finds_a_single_valley(num_frames, data):
    """Where the loss grows with the distance from one window, that window is found, with few losses asked for."""
    start = data.draw(st.integers(0, num_frames - 1))
    stop = data.draw(st.integers(start + 1, num_frames))
    edges = st.sampled_from([0.0, 0.5])
    valley, asked = Window(start, stop, data.draw(edges), data.draw(edges)).mask(num_frames), []

    def ends_and_edges(mask):
        ones = np.flatnonzero(mask == 1)
        return np.array([10 * ones[0], 10 * ones[-1], *(mask[mask == 0.5].size, mask[ones[0] - 1] == 0.5)])

    def losses(masks):
        asked.extend(masks.tolist())
        return np.array([np.abs(ends_and_edges(mask) - ends_and_edges(valley)).sum() for mask in masks])

    masks, found = coarse_to_fine(num_frames, losses, lambda masks: np.full(len(masks), -np.inf), 8)
    np.testing.assert_array_equal(masks[0], valley)
    assert found[0] == 0 and (np.diff(found) >= 0).all()
    assert len(masks) == len(found) == len(asked) == len({tuple(mask) for mask in asked})
    assert len(asked) <= 30 + 6 * num_frames


def test_coarse_search_does_not_try_what_cannot_be_better():
    """Windows that cost 0.01 a frame, and a score that is gone where frame 3 is masked: none longer is asked for."""
    asked = []

    def costs(masks):
        return 0.01 * masks.sum(axis=1)

    def losses(masks):
        asked.extend(masks.tolist())
        return costs(masks) + 1 - masks[:, 3]

    _, all_losses = coarse_to_fine(16, losses, lambda masks: np.zeros(len(masks)), 8)
    assert len(all_losses) == len(asked)
    asked.clear()
    masks, found = coarse_to_fine(16, losses, costs, 8)
    np.testing.assert_array_equal(masks[0], Window(3, 4, before=0, after=0).mask(16))
    assert found[0] == all_losses[0] == pytest.approx(0.01)
    assert len(found) == len(asked) < len(all_losses) - 5


def test_scores_are_asked_for_once():
    asked = []

    def scores(masks):
        asked.extend(masks.tolist())
        return masks.sum(axis=1)

    remembered, masks = Remembered(scores), window_masks(3)
    np.testing.assert_array_equal(remembered(masks[[2, 0, 2]]), [3, 1, 3])
    np.testing.assert_array_equal(remembered(masks[[0, 1]]), [1, 2])
    np.testing.assert_array_equal(remembered(masks[:0]), [])
    assert asked == [[1, 1, 1], [1, 0, 0], [1, 1, 0]] and len(remembered.known) == 3


class Recorded:
    """A `ClipObjective` of masks of 8 frames, without costs, that remembers what it was asked for."""

    def __init__(self, score):
        self.scored, self.descended = [], []

        def scores(masks):
            self.scored.extend(masks.copy())
            return np.array([score(mask) for mask in masks])

        def loss_and_gradient(mask):
            self.descended.append(mask.copy())
            up = [score(mask + step) for step in 1e-3 * np.eye(8, dtype=np.float32)]
            return float(score(mask)), (np.array(up) - score(mask)) / 1e-3

        self.objective = ClipObjective(
            8, lambda m: 0.0 * m.sum(axis=1), Remembered(scores), loss_and_gradient, None, 1.0
        )

    def begun_with(self, mask):
        return any(np.allclose(mask, other, atol=1e-6) for other in self.descended)


def test_a_window_that_takes_most_of_the_score_is_the_only_start():
    record = Recorded(lambda mask: 1.05 - mask[3])  # 0.05 of 1 is left
    found = descended(record.objective, 5)
    assert found.window[3] == 1
    np.testing.assert_array_equal(record.descended[0], found.window)
    assert not record.begun_with(0.9 * Window(1, 8).mask(8))
    assert found.backward_passes == len(record.descended) <= 5


def test_where_no_window_takes_most_of_the_score_there_are_other_starts():
    """The score falls with the share of frames masked, but by no more than half."""
    record = Recorded(lambda mask: 1 - 0.5 * mask.mean() - 1e-3 * mask[2])
    found = descended(record.objective, 5)
    for start in (found.window, 0.9 * Window(1, 8).mask(8)):
        assert record.begun_with(start)
    centred = [Window(i, 8 - i, 0, 0).mask(8) for i in range(4)]
    assert all(any(np.array_equal(window, mask) for mask in record.scored) for window in centred)
    assert found.backward_passes == len(record.descended)
    assert len(record.scored) == len({mask.tobytes() for mask in record.scored})  # the whole clip is in the grid, too
    np.testing.assert_allclose(found.mask, np.ones(8), atol=1e-6)


def test_a_start_is_descended_from_once():
    """The best window is also the central one."""
    record = Recorded(lambda mask: 1 - 0.5 * mask.mean())
    found = descended(record.objective, 1)
    np.testing.assert_array_equal(found.window, np.ones(8))
    asked = [mask.tobytes() for mask in record.descended]
    assert len(set(asked)) == len(asked) == found.backward_passes == 3


def test_a_descent_that_goes_on_asks_for_no_gradient_twice():
    """Two starts, one frame apart in what they cost; the better one goes on from where its trial ended."""
    record = Recorded(lambda mask: 1.05 - np.maximum(mask[1], mask[6]) + 0.005 * mask[1] + 0.01 * mask[2:6].sum())
    found = descended(record.objective, 20)
    assert found.window[6] == 1 and record.begun_with(found.window)
    assert any(mask[1] == 1 and mask[6] == 0 for mask in record.descended)
    asked = [mask.tobytes() for mask in record.descended]
    assert len(set(asked)) == len(asked) == found.backward_passes <= 6 + 20


def test_two_spans_are_found_where_no_window_will_do():
    """Frame 4 must stay and all others must go: no window hides them."""
    wanted = np.array([1, 1, 1, 1, 0, 1, 1, 1], np.float32)
    record = Recorded(lambda mask: 1 - np.prod(1 - 0.9 * np.abs(mask - wanted)))
    found = descended(record.objective, 26)
    np.testing.assert_allclose(found.mask, wanted, atol=0.02)


def test_central_window_by_hand():
    """D is 0.8: 0.72 of it must be kept. The third window keeps that, the second does not, and the smallest counts."""
    assert central_window(np.array([0.8, 0.7, 0.73, 0.5]), 0.9) == 2
    assert central_window(np.array([0.8, 0.7, 0.71, 0.5]), 0.9) == 0
    assert central_window(np.array([-0.1, 0.5, 0.5, 0.5]), 0.9) == 0  # the whole clip does not hurt: it is begun with


def test_lbfgs_stays_in_the_box_and_keeps_the_best():
    """A quadratic whose lowest point lies outside: (0.25, 1.5) in [0, 1]^2 ends at (0.25, 1)."""
    middle = np.array([0.25, 1.5])

    def loss_and_gradient(mask):
        return float(((mask - middle) ** 2).sum()), 2 * (mask - middle)

    end = lbfgs(loss_and_gradient, np.array([1.0, 0.0]), 30)
    np.testing.assert_allclose(end.mask, [0.25, 1.0], atol=1e-3)
    assert end.loss == pytest.approx(0.25, abs=1e-5) and end.evaluations < 15
    assert lbfgs(loss_and_gradient, np.array([1.0, 0.0]), 3).evaluations == 3


@pytest.mark.parametrize("method", ["gradient", "search", "search+gradient"])
def test_a_search_in_half_precision_reports_what_the_model_computes(model, method):
    """The mask is found in bfloat16; class, scores and loss are those of the float32 model at that mask."""
    clips = toy_models.clips(3)
    options = {"iterations": 30} if method == "gradient" else {}
    result = TemporalMask(model, method=method, precision="bfloat16", **options)(clips, labels=[0, 1, -1])
    own = TemporalMask(model, method=method, **options)(clips)
    assert all(layer.dtype_policy.name == "float32" for layer in model.layers)
    scores = tf.nn.softmax(model(clips)).numpy()
    np.testing.assert_array_equal(result.predicted, scores.argmax(axis=1))
    np.testing.assert_allclose(result.original_score, scores.max(axis=1), atol=1e-6)
    frozen = tf.nn.softmax(model(freeze(clips, result.mask))).numpy()
    np.testing.assert_allclose(result.freeze_score, frozen[np.arange(3), result.target], atol=1e-5)
    np.testing.assert_allclose(result.score_term, result.freeze_score, atol=1e-6)
    np.testing.assert_allclose(result.loss, own.loss, atol=0.02)
    assert method == "search" or not np.array_equal(result.mask, own.mask)  # it did compute in another precision


def test_passes_of_the_published_procedure_are_counted(model):
    """3 centred windows of 6 frames, 5 steps, and the clip as it is, the mask's objective (FS is its score) and RS."""
    result = TemporalMask(model, iterations=5)(toy_models.clips(2))
    np.testing.assert_array_equal(result.forward_passes, 3 + 5 + 3)
    np.testing.assert_array_equal(result.backward_passes, 5)
    assert np.isnan(result.window_loss).all()


def test_search_wants_a_score_with_a_floor(model):
    with pytest.raises(TfvidError, match="method 'search' wants score='probability'"):
        TemporalMask(model, method="search", score="logit")
    with pytest.raises(TfvidError, match="did you mean 'search'"):
        TemporalMask(model, method="serch")


def test_search_takes_any_callable(model):
    """It asks for scores only: a function of NumPy clips gets the mask of the model that it stands for."""
    clips = toy_models.clips(2)
    search = TemporalMask(lambda clips: model(clips, training=False).numpy(), method="search", output="logits")
    expected, found = TemporalMask(model, method="search")(clips), search(clips)
    np.testing.assert_array_equal(found.mask, expected.mask)
    np.testing.assert_allclose(found.loss, expected.loss, atol=1e-5)
    with pytest.raises(ModelError, match="expected a Keras model, got function"):
        TemporalMask(lambda clips: clips)
    with pytest.raises(ModelError, match="precision 'bfloat16' needs a Keras model, got function"):
        TemporalMask(lambda clips: model(clips).numpy(), method="search", precision="bfloat16")(clips)
