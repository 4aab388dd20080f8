"""Measures that ask the model: worked out by hand on a model that adds up its pixels, then what holds for all."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from hypothesis import given, settings
from hypothesis import strategies as st

import tfvid
from tfvid.core.errors import ModelError, TfvidError
from tfvid.metrics import METRICS, OF_MODEL, SMALLER_IS_BETTER
from tfvid.metrics.baselines import random_map
from tfvid.metrics.faithfulness.infidelity import pieces
from tfvid.metrics.faithfulness.insertion import cells, curves
from tfvid.metrics.faithfulness.scorer import Scorer
from tfvid.metrics.ranking import ranking
from tfvid.network.tracing import named_layers

ONES = np.ones((1, 2, 1, 2, 1), np.float32)  # two frames of two pixels
PARTS = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)  # what each pixel adds to the probability of class 1
MAP = PARTS.reshape(1, 2, 1, 2)


def adding(parts, start=0.0):
    """A model whose probability of class 1 is `start` plus what each pixel adds."""

    def probabilities(clips):
        p = start + np.einsum("btwc,tw->b", clips[:, :, 0], parts)
        return np.stack([1 - p, p], axis=-1).astype(np.float32)

    return probabilities


# Insertion and deletion.


def test_insertion_and_deletion_by_hand():
    inserted = curves(adding(PARTS), ONES, MAP, 1, kind="insertion", baseline="fade", steps=4)
    np.testing.assert_allclose(inserted.share, [[0, 0.25, 0.5, 0.75, 1]])
    np.testing.assert_allclose(inserted.probability, [[0, 0.4, 0.7, 0.9, 1]], atol=1e-6)
    np.testing.assert_allclose(inserted.area, [0.625], atol=1e-6)  # (0/2 + .4 + .7 + .9 + 1/2) / 4
    deleted = curves(adding(PARTS), ONES, MAP, [1], kind="deletion", baseline="fade", steps=4)
    np.testing.assert_allclose(deleted.probability, [[1, 0.6, 0.3, 0.1, 0]], atol=1e-6)
    np.testing.assert_allclose(tfvid.metrics.insertion(adding(PARTS), ONES, MAP, 1, baseline="fade"), 0.625, atol=1e-6)
    np.testing.assert_allclose(tfvid.metrics.deletion(adding(PARTS), ONES, MAP, 1), [0.375], atol=1e-6)
    two_steps = tfvid.metrics.insertion(adding(PARTS), ONES, MAP, 1, baseline="fade", steps=2)
    np.testing.assert_allclose(two_steps, [0.6], atol=1e-6)  # (0/2 + .7 + 1/2) / 2


@pytest.mark.parametrize(
    "segments, area",
    [
        ([[0, 0], [1, 1]], 0.6),  # frame 1, then frame 0
        ([[-5, -5], [-5, 7]], 0.25 * 0.2 + 0.75 * 0.7),  # its last pixel, a quarter of the clip, then the rest
        ([[3, 3], [3, 3]], 0.5),  # nothing, then all
    ],
)
def test_segments_go_together(segments, area):
    segments = np.array(segments).reshape(2, 1, 2)
    for given_segments in (segments, segments[np.newaxis]):
        result = tfvid.metrics.insertion(adding(PARTS), ONES, MAP, 1, baseline="fade", segments=given_segments)
        np.testing.assert_allclose(result, [area], atol=1e-6)


def test_the_baseline_is_what_insertion_starts_from():
    clips = np.array([1.0, 3.0, 2.0, 2.0], np.float32).reshape(1, 2, 1, 2, 1)
    model = adding(np.full((2, 2), 0.1))
    inserted = curves(model, clips, MAP, 1, kind="insertion", baseline="first_frame", steps=1)
    np.testing.assert_allclose(inserted.probability, [[0.8, 0.8]], atol=1e-6)
    halved = curves(model, clips, MAP, 1, kind="deletion", baseline=lambda clips: clips / 2, steps=1)
    np.testing.assert_allclose(halved.probability, [[0.8, 0.4]], atol=1e-6)


def test_cells_are_even():
    assert cells((3, 112, 160)).max() + 1 == 3 * 256
    np.testing.assert_array_equal(np.unique(np.bincount(cells((1, 112, 160)).ravel())), [70])  # 7 x 10 pixels
    sizes = np.bincount(cells((2, 100, 17)).ravel())
    assert len(sizes) == 512 and sizes.min() >= 6 * 1 and sizes.max() <= 7 * 2
    np.testing.assert_array_equal(cells((2, 2, 3)), np.arange(12).reshape(2, 2, 3))  # no cell below a pixel


def test_equal_values_come_in_a_random_order():
    equal = np.zeros((1, 2, 1, 2), np.float32)
    order = ranking(np.zeros(4), seed=3)
    expected = np.concatenate([[0], np.cumsum(PARTS.ravel()[order])])
    result = curves(adding(PARTS), ONES, equal, 1, kind="insertion", baseline="fade", seed=3, steps=4)
    np.testing.assert_allclose(result.probability[0], expected, atol=1e-6)
    model = Scorer(adding(PARTS))
    areas = [tfvid.metrics.insertion(model, ONES, equal + 7, 1, baseline="fade", seed=s) for s in range(50)]
    assert abs(np.mean(areas) - 0.5) < 0.04  # a straight line, in the mean; 0.07 / sqrt(50) is its deviation
    firsts = {ranking(np.array([1.0, 1.0, 0.0, 1.0]), seed)[0] for seed in range(30)}
    assert firsts == {0, 1, 3} and all(ranking(np.array([1.0, 1, 0, 1]), seed)[-1] == 2 for seed in range(30))


whole_numbers = st.lists(st.integers(-20, 20), min_size=4, max_size=4)


@settings(max_examples=10, deadline=None)
@given(values=whole_numbers, parts=st.lists(st.floats(0, 0.25), min_size=4, max_size=4))
def test_only_the_order_counts_and_the_models_own_order_is_best(values, parts):
    parts = np.array(parts, np.float32).reshape(2, 2)
    maps = np.array(values, np.float32).reshape(1, 2, 1, 2)
    model = Scorer(adding(parts))
    for measure in (tfvid.metrics.insertion, tfvid.metrics.deletion):
        area = measure(model, ONES, maps, 1, baseline="fade")
        assert 0 <= area[0] <= 1
        np.testing.assert_array_equal(measure(model, ONES, np.exp(maps / 10), 1, baseline="fade"), area)
        best = measure(model, ONES, parts.reshape(1, 2, 1, 2), 1, baseline="fade")
        sign = -1 if measure is tfvid.metrics.deletion else 1
        assert sign * best[0] >= sign * area[0] - 1e-6


# Average drop and increase.


@pytest.mark.parametrize(
    "values, drop",
    [
        ([[0, 0], [0, 4]], 0.6),  # the last pixel alone is left
        ([[-3, 1], [0, 2]], 0.5),  # .2 / 2 + .4
        ([[5, 5], [5, 5]], 0.0),  # everything is left
        ([[0, 0], [0, 0]], 1.0),  # nothing is
        ([[-1, -1], [-1, -1]], 1.0),
    ],
)
def test_average_drop_by_hand(values, drop):
    maps = np.array(values, np.float32).reshape(1, 2, 1, 2)
    np.testing.assert_allclose(tfvid.metrics.average_drop(adding(PARTS), ONES, maps, 1), [drop], atol=1e-6)
    np.testing.assert_array_equal(tfvid.metrics.increase(adding(PARTS), ONES, maps, 1), [0])


def test_increase_by_hand():
    model = adding(np.array([[-0.2, 0.1], [0.0, 0.0]]), start=0.5)  # 0.4 for the whole clip
    maps = np.zeros((2, 2, 1, 2), np.float32)
    maps[0, 0, 0, 1] = maps[1, 0, 0, 0] = 1  # 0.6 where the second pixel is shown alone, 0.3 the first
    clips = np.concatenate([ONES, ONES])
    np.testing.assert_array_equal(tfvid.metrics.increase(model, clips, maps, 1), [1, 0])
    np.testing.assert_allclose(tfvid.metrics.average_drop(model, clips, maps, 1), [0, 0.25], atol=1e-6)


def test_rounding_is_no_increase():
    runs = []

    def jittering(clips):
        runs.append(1)
        p = np.full(len(clips), 0.5 + 1e-7 * len(runs))
        return np.stack([1 - p, p], axis=-1).astype(np.float32)

    np.testing.assert_array_equal(tfvid.metrics.increase(jittering, ONES, MAP, 1), [0])


def test_a_class_without_probability_drops_nothing():
    np.testing.assert_array_equal(tfvid.metrics.average_drop(adding(PARTS), ONES, 0 * MAP, 0), [0])


def test_the_baseline_shines_through():
    half = tfvid.metrics.average_drop(adding(PARTS), ONES, 0 * MAP, 1, baseline=lambda clips: clips / 2)
    np.testing.assert_allclose(half, [0.5], atol=1e-6)


# Infidelity.


def test_infidelity_by_hand():
    """Pieces are single pixels here, so what goes is what the pixel adds."""
    gone = np.array([PARTS[t[0], x[0]] for t, _, x in pieces((2, 1, 2), 50, seed=1)])
    assert set(gone) == set(PARTS.ravel())

    def infidelity(maps, **options):
        return tfvid.metrics.infidelity(adding(PARTS), ONES, maps, 1, samples=50, seed=1, **options)[0]

    for maps in (MAP, 5 * MAP):
        assert infidelity(maps) == pytest.approx(0, abs=1e-9)
    assert infidelity(MAP, scaled=False) == pytest.approx(0, abs=1e-9)
    assert infidelity(3 * MAP, scaled=False) == pytest.approx(np.mean((2 * gone) ** 2), rel=1e-4)
    for nothing in (0 * MAP, -MAP):  # no scale turns a map into its opposite
        assert infidelity(nothing) == pytest.approx(np.mean(gone**2), rel=1e-4)
    assert infidelity(np.ones_like(MAP)) == pytest.approx(np.var(gone), rel=1e-4)  # the best constant is the mean


def test_pieces_lie_in_the_clip_and_differ():
    boxes = pieces((8, 10, 3), 500, seed=0)
    sides = boxes[..., 1] - boxes[..., 0]
    assert boxes.min() == 0 and (boxes[..., 1] <= [8, 10, 3]).all() and (boxes[..., 1].max(axis=0) == [8, 10, 3]).all()
    for axis, largest in enumerate((4, 5, 1)):
        assert set(sides[:, axis]) == set(range(1, largest + 1))
    np.testing.assert_array_equal(boxes[:20], pieces((8, 10, 3), 500, seed=0)[:20])


def test_a_larger_piece_of_a_linear_model():
    """The sum of the map over a box of several pixels and frames foretells the drop exactly."""
    rng = np.random.default_rng(0)
    parts = rng.random((4, 6)) / 24
    clips = rng.random((2, 4, 1, 6, 1), np.float32)
    maps = (parts[:, np.newaxis] * clips[..., 0]).astype(np.float32)
    exact = tfvid.metrics.infidelity(adding(parts), clips, maps, 1, scaled=False, samples=20)
    np.testing.assert_allclose(exact, [0, 0], atol=1e-10)
    worse = tfvid.metrics.infidelity(adding(parts), clips, random_map(maps.shape), 1, samples=20)
    assert (worse > 1e-5).all()


# Max-sensitivity.


def test_max_sensitivity_by_hand():
    clips = np.full((2, 1, 1, 1, 1), 0.5, np.float32)
    clips[1] *= 2
    noise = [tf.random.stateless_uniform((1, 1, 1, 1), (4, n), -0.1, 0.1).numpy().item() for n in range(6)]

    def explain(clips):
        return 3 * np.asarray(clips)[..., 0]

    options = {"radius": 0.1, "samples": 6, "seed": 4, "explain": explain}
    result = tfvid.metrics.max_sensitivity(adding(np.ones((1, 1)) / 3), clips, explain(clips), 1, **options)
    np.testing.assert_allclose(result, np.max(np.abs(noise)) / np.array([0.5, 1]), rtol=1e-5)
    assert 0.05 < np.max(np.abs(noise)) <= 0.1


def test_max_sensitivity_of_maps_that_do_not_move_and_of_zeros():
    def sensitivity(maps, explain):
        return tfvid.metrics.max_sensitivity(adding(PARTS), ONES, maps, 1, explain=explain)[0]

    assert sensitivity(MAP, lambda clips: MAP) == 0
    assert sensitivity(0 * MAP, lambda clips: 0 * MAP) == 0
    assert sensitivity(0 * MAP, lambda clips: MAP) == 1
    assert sensitivity(MAP, lambda clips: -MAP) == 2
    with pytest.raises(TfvidError, match=r"maps \(B, T, H, W\) of \(1, 2, 1, 2\), got float32 \(2, 1, 2\)"):
        sensitivity(MAP, lambda clips: MAP[0])
    with pytest.raises(TfvidError, match="map of clip 0 has NaN"):
        sensitivity(MAP, lambda clips: MAP * np.nan)


# What holds for all of them.

QUICK = {"infidelity": {"samples": 5}, "insertion": {"steps": 8}, "deletion": {"steps": 8}}


def grey(clips):
    """An explanation that does something."""
    return np.asarray(clips).mean(axis=-1)


def measure(name, model, clips, maps, target, **options):
    if name == "max_sensitivity":
        options = {"explain": grey, "samples": 2} | options
    return METRICS.find(name)(model, clips, maps, target, **QUICK.get(name, {}), **options)


def weights(model):
    return {path: [w.numpy().tobytes() for w in layer.weights] for path, layer in named_layers(model)}


@pytest.mark.parametrize(
    "model_name",
    [
        "subclassed",
        *(pytest.param(n, marks=pytest.mark.long) for n in ("nested", "softmax", "per_frame", "mixed_precision")),
    ],
)
@pytest.mark.parametrize("name", OF_MODEL)
def test_contract(name, model_name):
    model, clips = toy_models.build(model_name), toy_models.clips(3)
    maps, target, before = grey(clips), [2, 0, 1], weights(model)
    result = measure(name, model, clips, maps, target, batch_size=2)
    assert result.shape == (3,) and result.dtype == np.float32
    assert (result >= 0).all() and (name == "max_sensitivity" or (result <= 1).all())
    atol = 1e-2 if model_name == "mixed_precision" else 1e-5
    scorer = Scorer(model)
    np.testing.assert_allclose(measure(name, scorer, clips, maps, target, batch_size=3), result, atol=atol)
    np.testing.assert_allclose(measure(name, scorer, clips[1:2], maps[1:2], 0), result[1:2], atol=atol)
    if name != "max_sensitivity":
        assert scorer._compiled.traces == 1
    for equal in (0, 3, -2):
        assert np.isfinite(measure(name, scorer, clips, np.full_like(maps, equal), target)).all()
    assert weights(model) == before


@pytest.mark.parametrize("name", OF_MODEL)
def test_any_callable(name):
    model, clips = toy_models.build("functional"), toy_models.clips(2)
    maps = grey(clips)
    expected = measure(name, model, clips, maps, 1)
    result = measure(name, lambda x: model(x, training=False).numpy(), clips, maps, 1, output="logits")
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("name", OF_MODEL)
def test_what_does_not_fit(name):
    clips = toy_models.clips(2)
    maps, model = grey(clips), Scorer(toy_models.build("functional"))
    broken = maps.copy()
    broken[1, 2, 3, 4] = np.nan
    for bad, message in [
        (broken, "map of clip 1 has NaN or infinite values"),
        (maps[:1], r"expected maps \(B, T, H, W\) of \(2, 6, 8, 8\), got float32 \(1, 6, 8, 8\)"),
        (maps[..., np.newaxis], "expected maps"),
        (maps.astype(str), "expected maps"),
    ]:
        with pytest.raises(TfvidError, match=message):
            measure(name, model, clips, bad, 1)
    for bad in (3, -1, None, 1.0, [1], [[1, 1]]):
        with pytest.raises(TfvidError, match="target: expected"):
            measure(name, model, clips, maps, bad)
    with pytest.raises(TfvidError, match="clip 0 has NaN"):
        measure(name, model, clips * np.nan, maps, 1)
    with pytest.raises(ModelError, match="a Keras model or a function of clips, got str"):
        measure(name, "model", clips, maps, 1)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("insertion", {"baseline": "fad"}, "unknown baseline 'fad'; did you mean 'fade'"),
        ("average_drop", {"baseline": "fad"}, "unknown baseline"),
        ("deletion", {"steps": 0}, "steps >= 1"),
        ("deletion", {"segments": np.zeros((2, 1, 3), int)}, r"segments: expected ints \(2, 1, 2\)"),
        ("deletion", {"segments": np.zeros((2, 1, 2))}, "segments: expected ints"),
        ("deletion", {"batch_size": 0}, "batch_size must be 1 or more"),
        ("infidelity", {"samples": 0}, "samples >= 1"),
        ("max_sensitivity", {"samples": 0, "explain": grey}, "samples >= 1"),
        ("max_sensitivity", {"radius": -1, "explain": grey}, "radius >= 0"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(TfvidError, match=message):
        METRICS.find(name)(adding(PARTS), ONES, MAP, 1, **options)


def test_a_model_that_answers_nan_is_refused():
    def sometimes(clips):
        return np.where(clips.sum(axis=(1, 2, 3, 4))[:, np.newaxis] > 1, 0.5, np.nan).repeat(2, axis=1)

    with pytest.raises(ModelError, match="returns NaN for a changed clip"):
        tfvid.metrics.deletion(sometimes, ONES, MAP, 1)


def test_the_model_sees_no_more_than_a_batch():
    seen = []

    def model(clips):
        seen.append(len(clips))
        return adding(PARTS)(clips)

    for name in OF_MODEL:
        measure(name, model, ONES.repeat(5, axis=0), MAP.repeat(5, axis=0), 1, batch_size=2)
    assert max(seen) == 2


def test_names():
    assert set(SMALLER_IS_BETTER) < set(OF_MODEL) < set(METRICS)
    assert {"insertion", "average_precision"} < set(dir(tfvid.metrics))
    with pytest.raises(TfvidError, match="did you mean 'insertion'"):
        METRICS.find("insertoin")


def test_a_models_own_gradient_beats_chance():
    """On a network, with the same measures: its gradient times input against the random map."""
    model, clips = toy_models.build("functional"), tf.constant(toy_models.clips(4))
    with tf.GradientTape() as tape:
        tape.watch(clips)
        score = model(clips, training=False)[:, 1]
    maps = tf.reduce_sum(tape.gradient(score, clips) * clips, axis=-1).numpy()
    scorer, chance = Scorer(model), random_map(maps.shape)
    keras.utils.set_random_seed(0)
    for name in ("insertion", "deletion", "infidelity"):
        options = {"samples": 40} if name == "infidelity" else {"steps": 32, "baseline": "fade"}
        ours, theirs = (METRICS.find(name)(scorer, clips, m, 1, **options) for m in (maps, chance))
        assert (theirs - ours if name in SMALLER_IS_BETTER else ours - theirs).mean() > 0
