"""The search for the best contiguous mask: never worse than trying them all, and with fewer passes."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tfvid.core.errors import ModelError, TfvidError
from tfvid.explain.masks.mask_search import (
    ClipObjective,
    Descent,
    Looks,
    Memoised,
    best_window,
    descended,
    later_window,
)
from tfvid.explain.masks.objective import Objective, total_variation
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.explain.masks.windows import (
    Window,
    central_window,
    distinct,
    edged_windows,
    lowest,
    window_grid,
    window_masks,
)
from tfvid.network import onednn
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
    assert lowest(bounds, ask, chunk, below=loss) == (-1, loss)
    assert lowest(bounds, ask, chunk, below=loss + 1e-9) == (row, loss)


def test_lowest_asks_for_no_more_than_it_must():
    asked = []
    bounds = np.array([0.3, 0.1, 0.2, 0.4])

    def ask(rows):
        asked.extend(rows.tolist())
        return np.array([0.5, 0.15, 0.0, 0.0])[rows]

    assert lowest(bounds, ask, 1) == (2, 0.2)
    assert asked == [1, 2]
    assert lowest(bounds, ask, 4, below=0.2) == (-1, 0.2)
    assert asked == [1, 2, 1]


@pytest.fixture(scope="module")
def model():
    """Large scores, so that masks differ between clips."""
    keras.utils.set_random_seed(0)
    model = toy_models.build("functional")
    model.get_layer("head").kernel.assign(3 * model.get_layer("head").kernel)
    return model


@pytest.fixture(scope="module")
def explain(model):
    """Explains clips by the `method` given, with explainers of that model which tests share: each is traced once."""
    explainers = functools.cache(lambda method: TemporalMask(model, method=method))

    def explain(clips, *arguments, method="gradient", iterations=None):
        explainer = explainers(method)
        default = explainer.iterations
        explainer.iterations = default if iterations is None else iterations
        try:
            return explainer(clips, *arguments)
        finally:
            explainer.iterations = default

    return explain


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


def test_search_leaves_a_class_alone_that_has_little_to_lose(model, explain):
    """Where the score is below the price of any mask, the best one is empty."""
    scores = tf.nn.softmax(model(toy_models.clips(4)))
    clip, target = np.argwhere(scores.numpy() < 0.01)[0]
    result = explain(toy_models.clips(4)[clip : clip + 1], int(target), method="search")
    np.testing.assert_array_equal(result.mask, np.zeros((1, 6)))
    np.testing.assert_allclose(result.loss, result.original_score, rtol=1e-4)


def test_descending_from_a_window(explain):
    """Lower than the best binary window; the last clip's best mask is the empty one, and no window is better."""
    clips = toy_models.clips(3)
    searched = explain(clips, method="search")
    result = explain(clips, method="search+gradient")
    np.testing.assert_array_equal(result.initial_mask[:2, 5], np.ones(2))
    np.testing.assert_array_equal(result.initial_mask[:2, :4], np.zeros((2, 4)))
    assert (result.loss[:2] < searched.loss[:2] - 1e-3).all() and (result.loss[:2] < result.window_loss[:2]).all()
    np.testing.assert_array_equal(result.mask[2], np.zeros(6))
    assert result.mask.min() >= 0 and result.mask.max() <= 1
    np.testing.assert_array_equal(result.iterations, result.backward_passes)
    assert (result.backward_passes <= 5 + 5 + 10 + 30).all()  # of the other starts, and of the one that goes on
    one = explain(clips, method="search+gradient", iterations=1)
    assert (one.backward_passes <= 4).all()  # one from each start
    np.testing.assert_allclose(one.loss[:2], one.window_loss[:2], atol=1e-6)  # the window's own gradient is all it took


def test_descending_is_no_worse_than_the_published_procedure(explain):
    clips = toy_models.clips(6)
    published = explain(clips)
    result = explain(clips, method="search+gradient")
    assert (result.loss <= published.loss + 0.005).all()
    assert (result.forward_passes <= 100).all() and (result.backward_passes <= 5 + 5 + 10 + 30).all()


def test_windows_with_soft_and_sharp_edges():
    np.testing.assert_array_equal(Window(2, 3).mask(5), [0, 0.5, 1, 0.5, 0])
    np.testing.assert_array_equal(Window(2, 3, before=0).mask(5), [0, 0, 1, 0.5, 0])
    np.testing.assert_array_equal(Window(2, 3, after=0).mask(5), [0, 0.5, 1, 0, 0])
    np.testing.assert_array_equal(Window(0, 5).mask(5), [1, 1, 1, 1, 1])
    np.testing.assert_array_equal(Window(0, 1).mask(5), [1, 0.5, 0, 0, 0])


def test_window_grid_by_hand():
    """Ends every second of 8 frames; each window with a sharp and with a soft first edge."""
    ends = [(0, 8), (0, 6), (0, 4), (0, 2), (2, 8), (2, 6), (2, 4), (4, 8), (4, 6), (6, 8)]
    expected = [Window(i, j, before).mask(8) for before in (0, 0.5) for i, j in ends]
    np.testing.assert_array_equal(window_grid(8), expected)


def test_edged_windows_by_hand():
    expected = [[1, 0], [1, 0.5], [1, 1], [0, 1], [0.5, 1]]
    assert sorted(edged_windows(2).tolist()) == sorted(expected)


@pytest.mark.parametrize("num_frames", [2, 7, 16])
def test_edged_windows_hold_the_grid_and_every_binary_window(num_frames):
    masks = {mask.tobytes() for mask in edged_windows(num_frames)}
    assert len(masks) == len(edged_windows(num_frames))
    assert masks >= {mask.tobytes() for mask in (*window_masks(num_frames), *window_grid(num_frames))}


def test_edged_windows_of_long_clips_have_fewer_ends():
    masks = edged_windows(130)
    assert len(masks) < 4 * 44 * 45 / 2
    starts = [np.flatnonzero(mask == 1)[0] for mask in masks]
    assert set(starts) == set(range(0, 130, 3))
    np.testing.assert_array_equal(masks[:, -1].max(), 1)  # the last frame can be masked


@pytest.mark.parametrize("variation", ["published", "paper"])
@pytest.mark.parametrize("num_frames", [2, 3, 9])
def test_price_is_the_length_and_the_variation(variation, num_frames):
    """In float64, with the gradient that TensorFlow finds."""
    objective = Objective(variation=variation, length_weight=0.3, variation_weight=0.7, variation_power=2.5)
    mask = np.random.default_rng(0).random((1, num_frames))
    with tf.GradientTape() as tape:
        x = tf.constant(mask)
        tape.watch(x)
        total = (objective.length(x) + objective.changes(x))[0]
    price, gradient = objective.price(mask[0])
    np.testing.assert_allclose(price, total, rtol=1e-12)
    np.testing.assert_allclose(gradient, tape.gradient(total, x)[0], rtol=1e-9, atol=1e-12)


def test_scores_are_asked_for_once():
    asked = []

    def scores(masks):
        asked.extend(masks.tolist())
        return masks.sum(axis=1)

    remembered, masks = Memoised(scores), window_masks(3)
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
            8,
            lambda masks: 0.0 * masks.sum(axis=1),
            lambda mask: (0.0, 0.0 * mask),
            Memoised(scores),
            loss_and_gradient,
            None,
            1.0,
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
    record = Recorded(lambda mask: 1 - np.prod(1 - 0.9 * (mask - wanted) ** 2))
    found = descended(record.objective, 26)
    np.testing.assert_allclose(found.mask, wanted, atol=0.05)


def test_central_window_by_hand():
    """D is 0.8: 0.72 of it must be kept. The third window keeps that, the second does not, and the smallest counts."""
    assert central_window(np.array([0.8, 0.7, 0.73, 0.5]), 0.9) == 2
    assert central_window(np.array([0.8, 0.7, 0.71, 0.5]), 0.9) == 0
    assert central_window(np.array([-0.1, 0.5, 0.5, 0.5]), 0.9) == 0  # the whole clip does not hurt: it is begun with


def test_a_descent_stays_in_the_box():
    """A score without bounds, quadratic; its lowest point lies outside: (0.25, 1.5) in [0, 1]^2 ends at (0.25, 1)."""
    middle, asked = np.array([0.25, 1.5]), []

    def loss_and_gradient(mask):
        asked.append(mask)
        return float(((mask - middle) ** 2).sum()), 2 * (mask - middle)

    free = (lambda masks: 0.0 * masks[:, 0]), (lambda mask: (0.0, 0.0 * mask))
    looks = Looks(ClipObjective(2, *free, None, loss_and_gradient, None, float((middle**2).sum()), floor=-np.inf))
    descent = Descent(looks, np.array([1, 0], np.float32))
    descent.go_on(3)
    assert len(asked) == looks.gradients == 3
    descent.go_on(30)
    assert descent.is_done and looks.gradients == len(asked) < 15
    assert all(mask.min() >= 0 and mask.max() <= 1 and mask.dtype == np.float32 for mask in asked)
    np.testing.assert_allclose(looks.best()[0], [0.25, 1.0], atol=0.02)
    assert descent.loss == looks.best()[1] == pytest.approx(0.25, abs=5e-4)


def objective_of(score, num_frames=16, length=0.01, variation=0.02):
    """Eq. 1 with a score that is a NumPy function of masks `(T,)`; its gradient by differences."""
    terms = Objective(length_weight=length, variation_weight=variation)

    def costs(masks):
        return (terms.length(tf.constant(masks)) + terms.changes(tf.constant(masks))).numpy()

    def loss_and_gradient(mask):
        price, slope = terms.price(mask)
        steps = 1e-4 * np.eye(num_frames)
        gradient = [(score(mask + step) - score(mask - step)) / 2e-4 for step in steps]
        return price + score(mask), np.array(gradient) + slope

    scores = Memoised(lambda masks: np.array([score(mask) for mask in masks]))
    unperturbed = score(np.zeros(num_frames))
    return ClipObjective(num_frames, costs, terms.price, scores, loss_and_gradient, None, unperturbed)


def test_the_best_mask_is_tried_with_a_sharp_edge_up_to_three_frames_later():
    """Frames 5 to 7 matter; a value between 0 and 1 before them, a soft edge, keeps half of the score."""

    def score(mask):
        is_soft = ((mask[:5] > 0) & (mask[:5] < 1)).any()
        return 0.9 if mask[5:8].min() < 1 else 0.45 if is_soft else 0.0

    soft, sharp = Window(3, 8, 0.5, 0).mask(10), Window(3, 8, 0, 0).mask(10)
    looks = Looks(objective_of(score, num_frames=10))
    looks.windows(soft[np.newaxis])
    np.testing.assert_array_equal(later_window(looks), Window(5, 8, 0, 0).mask(10))  # shorter than that of frame 3
    tried = {mask.tobytes() for mask in (soft, sharp, *(Window(first, 8, 0, 0).mask(10) for first in (4, 5, 6)))}
    assert looks.losses.keys() == tried
    assert later_window(looks) is None  # nothing better is left
    assert later_window(Looks(objective_of(score, num_frames=10))) is None  # the empty mask


def test_all_windows_are_tried_where_none_of_the_grid_hurts():
    """Only the third frame matters, and only where it is masked alone: a grid of four ends never sees it."""

    def score(mask):
        return 0.95 - 0.9 * np.clip(mask[2], 0, 1) * np.prod(1 - np.clip(np.delete(mask, 2), 0, 1))

    found = descended(objective_of(score), 30)
    np.testing.assert_array_equal(found.window, Window(2, 3, 0, 0).mask(16))
    loss = objective_of(score).loss_and_gradient(found.mask)[0]
    assert loss <= found.window_loss == pytest.approx(0.05 + 0.01 + 0.08, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.2, 6))
def test_the_mask_is_never_worse_than_its_window_or_none(seed, steepness):
    """Scores that are random smooth functions of the mask, from nearly flat to steep."""
    rng = np.random.default_rng(seed)
    inner, outer = rng.normal(size=(6, 10)), rng.normal(size=6)

    def score(mask):
        return 1 / (1 + np.exp(-steepness * outer @ np.tanh(inner @ mask)))

    objective = objective_of(score, 10)
    found = descended(objective, 12)
    loss = objective.loss_and_gradient(found.mask)[0]
    assert loss <= min(found.window_loss, objective.unperturbed) + 1e-6
    assert found.mask.min() >= 0 and found.mask.max() <= 1
    assert found.backward_passes <= 4 * 5 + 12


def test_windows_that_cannot_be_better_are_not_tried():
    """Frame 6 alone is enough: the mask [6, 7) costs 0.09. Only windows that cost less are evaluated besides."""
    record = []

    def score(mask):
        record.append(mask)
        return 0.9 * (1 - mask[6])

    objective = objective_of(score, 8)
    assert best_window(objective, below=0.05).mask.sum() == 0 and best_window(objective, below=0.05).window_loss == 0.05
    tried = np.array(record[1:])  # the first is the empty mask
    assert (objective.costs(tried) < 0.05).all() and len(tried) == 2  # the first frame, and the last one
    assert best_window(objective, below=0.2).mask.tolist() == [0, 0, 0, 0, 0, 0, 1, 1]  # one edge: 0.02 + 0.02


def conv_lstms():
    """A stack of two, with scores that differ between masks."""
    same = {"padding": "same", "bias_initializer": "normal"}
    return keras.Sequential(
        [
            keras.Input((6, 8, 8, 3)),
            layers.ConvLSTM2D(4, 3, return_sequences=True, **same),
            layers.BatchNormalization(),
            layers.MaxPooling3D((1, 2, 2)),
            layers.ConvLSTM2D(4, 3, **same),
            layers.Flatten(),
            layers.Dense(3, name="head"),
        ]
    )


BUILDS = [toy_models.functional, pytest.param(conv_lstms, marks=pytest.mark.long)]


@pytest.mark.parametrize("build", BUILDS, ids=["convolutions", "conv_lstm"])
def test_a_descent_never_ends_above_a_search(build):
    """Random networks. Within one result the comparison is exact, between two it is up to rounding."""
    model, clips = build(), toy_models.clips(2)
    searched, descended_from = (TemporalMask(model, method=way) for way in ("search", "search+gradient"))
    rng = np.random.default_rng(0)
    for scale in (1, 3, 10):
        for weight in model.trainable_weights:
            if len(weight.shape) > 1:
                weight.assign(rng.normal(0, scale if weight.shape[-1] == 3 else 0.4, weight.shape))
        search, descent = searched(clips), descended_from(clips)
        assert (descent.loss <= search.loss + 1e-6).all()
        assert (descent.loss <= descent.window_loss).all() and (descent.loss <= descent.original_score + 1e-6).all()
        np.testing.assert_array_equal(search.loss, search.window_loss)


@pytest.mark.long
@pytest.mark.parametrize("method", ["gradient", "search", "search+gradient"])
def test_a_search_in_half_precision_reports_what_the_model_computes(model, explain, method, monkeypatch):
    """The mask is found in bfloat16; class, scores and loss are those of the float32 model at that mask."""
    monkeypatch.setattr(onednn, "has_bfloat16", lambda: True)  # TensorFlow emulates it where there is none
    clips = toy_models.clips(3)
    options = {"iterations": 30} if method == "gradient" else {}
    result = TemporalMask(model, method=method, precision="bfloat16", **options)(clips, labels=[0, 1, -1])
    own = explain(clips, method=method, **options)
    assert all(layer.dtype_policy.name == "float32" for layer in model.layers)
    scores = tf.nn.softmax(model(clips)).numpy()
    np.testing.assert_array_equal(result.predicted, scores.argmax(axis=1))
    np.testing.assert_allclose(result.original_score, scores.max(axis=1), atol=1e-6)
    frozen = tf.nn.softmax(model(freeze(clips, result.mask))).numpy()
    np.testing.assert_allclose(result.freeze_score, frozen[np.arange(3), result.target], atol=1e-5)
    np.testing.assert_allclose(result.score_term, result.freeze_score, atol=1e-6)
    if method != "gradient":  # both losses are the float32 model's
        assert (result.loss <= result.window_loss).all()
        assert (result.loss <= result.original_score + 1e-6).all()
    if method == "search+gradient":  # steps part ways after few roundings; a window is what both must beat
        assert (result.loss <= explain(clips, method="search").loss + 0.005).all()
    else:
        np.testing.assert_allclose(result.loss, own.loss, atol=0.02)
    assert method == "search" or not np.array_equal(result.mask, own.mask)  # it did compute in another precision


def test_without_bfloat16_the_search_is_in_float32(model, explain, monkeypatch):
    monkeypatch.setattr(onednn, "has_bfloat16", lambda: False)
    clips = toy_models.clips(2)
    search = TemporalMask(model, iterations=5, precision="bfloat16")
    with pytest.warns(RuntimeWarning, match="no bfloat16 instructions, so the search runs in float32"):
        result = search(clips)
    np.testing.assert_allclose(result.mask, explain(clips, iterations=5).mask, atol=1e-6)


def test_a_mask_that_says_nothing_is_not_trusted(explain):
    """Clips at rest: freezing all of one changes no score."""
    clips = toy_models.clips(2)
    clips[1] = clips[1, :1]
    for method in ("gradient", "search", "search+gradient"):
        result = explain(clips, method=method, iterations=3 if method == "gradient" else None)
        assert abs(result.full_drop[1]) < 1e-5 and not result.is_trusted[1]
        assert result.is_trusted[0] == (result.full_drop[0] >= 0.1 * result.original_score[0])


def test_passes_of_the_published_procedure_are_counted(explain):
    """3 centred windows of 6 frames, 5 steps, and the clip as it is, the mask's objective (FS is its score) and RS."""
    result = explain(toy_models.clips(2), iterations=5)
    np.testing.assert_array_equal(result.forward_passes, 3 + 5 + 3)
    np.testing.assert_array_equal(result.backward_passes, 5)
    assert np.isnan(result.window_loss).all()


def test_search_wants_a_score_with_a_floor(model):
    with pytest.raises(TfvidError, match="method 'search' needs score='probability'"):
        TemporalMask(model, method="search", score="logit")
    with pytest.raises(TfvidError, match="did you mean 'search'"):
        TemporalMask(model, method="serch")


def test_search_takes_any_callable(model, explain):
    """It asks for scores only: a function of NumPy clips gets the mask of the model that it stands for."""
    clips = toy_models.clips(2)
    search = TemporalMask(lambda clips: model(clips, training=False).numpy(), method="search", output="logits")
    expected, found = explain(clips, method="search"), search(clips)
    np.testing.assert_array_equal(found.mask, expected.mask)
    np.testing.assert_allclose(found.loss, expected.loss, atol=1e-5)
    with pytest.raises(ModelError, match="expected a Keras model, got function"):
        TemporalMask(lambda clips: clips)
    with pytest.raises(ModelError, match="precision 'bfloat16' needs a Keras model, got function"):
        TemporalMask(lambda clips: model(clips).numpy(), method="search", precision="bfloat16")(clips)
