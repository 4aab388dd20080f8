"""Maps against boxes and event windows: worked out by hand, then what holds for all."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import tfvid.metrics
from tfvid.core.errors import TfvidError
from tfvid.metrics import METRICS, OF_BOXES, OF_EVENTS
from tfvid.metrics.baselines import BASELINES, centre_prior, edges, frame_difference, optical_flow, random_map
from tfvid.metrics.localization import inside_boxes, known_events
from tfvid.metrics.overlap import overlap
from tfvid.metrics.when import frame_relevance
from tfvid.metrics.where import known_boxes, pointing_margin

NAN = [np.nan] * 4


def boxes_of(*frames):
    """Boxes of one clip, one a frame: `(1, T, 1, 4)`."""
    return np.array([[[box] for box in frames]], float)


def maps_of(*frames):
    """The map of one clip: `(1, T, H, W)`."""
    return np.array([frames], np.float32)


def of_frames(*values):
    """A map that is equal within each frame: `(1, T, 2, 2)`."""
    return np.tile(np.array(values, np.float32)[np.newaxis, :, np.newaxis, np.newaxis], (1, 1, 2, 2))


# Boxes.


def test_pointing_within_a_disc_by_hand():
    """A box of one pixel, (4, 4); margin 3. A corner at (6, 6) is 2.83 pixels away, one at (7, 7) 4.24, (4, 7) is 3."""
    boxes = np.array([4, 4, 5, 5], float).reshape(1, 1, 1, 4)
    hits = {}
    for place in ((6, 6), (7, 7), (4, 6), (4, 7)):
        maps = np.zeros((1, 1, 12, 12))
        maps[(0, 0, *place)] = 1
        hits[place] = [int(tfvid.metrics.pointing_game(maps, boxes, 3, region)[0]) for region in ("box", "disc")]
    assert hits == {(6, 6): [1, 1], (7, 7): [1, 0], (4, 6): [1, 1], (4, 7): [1, 0]}
    maps[0, 0] = np.eye(12)[4][:, None] * np.eye(12)[4]
    assert tfvid.metrics.pointing_game(maps, boxes, 0, "disc") == 1  # a pixel of the box itself
    with pytest.raises(TfvidError, match="unknown region 'circle'"):
        tfvid.metrics.pointing_game(maps, boxes, 3, "circle")


def test_pointing_within_a_disc_is_torchrays():
    """Random peaks and boxes against the rule as TorchRay computes it, pixel by pixel."""
    rng = np.random.default_rng(0)
    differ = 0
    for _ in range(60):
        top, left = rng.integers(0, 20, 2)
        bottom, right = top + rng.integers(1, 12), left + rng.integers(1, 12)
        maps = rng.random((1, 1, 32, 32))
        row, column = np.unravel_index(maps.argmax(), (32, 32))
        rows, columns = np.mgrid[:32, :32]
        accepted = (rows - row) ** 2 + (columns - column) ** 2 < 6**2
        box = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
        boxes = np.array([top, left, bottom, right], float).reshape(1, 1, 1, 4)
        disc, rectangle = (tfvid.metrics.pointing_game(maps, boxes, 6, region)[0] for region in ("disc", "box"))
        assert disc == (accepted & box).any()
        differ += disc != rectangle
    assert differ > 0


def test_pointing_game_by_hand():
    maps = np.zeros((1, 4, 6, 8), np.float32)
    maps[0, 0, 1, 2] = maps[0, 1, 5, 7] = maps[0, 2, 0, 0] = 1
    boxes = boxes_of([1, 2, 3, 4], [0, 0, 4, 6], NAN, [0, 0, 3, 4])
    # hit; missed by two pixels; no box; a frame of zeros points at a quarter of itself
    np.testing.assert_allclose(tfvid.metrics.pointing_game(maps, boxes, margin=0), [(1 + 0 + 0.25) / 3])
    np.testing.assert_allclose(tfvid.metrics.pointing_game(maps, boxes, margin=2), [(1 + 1 + 5 * 6 / 48) / 3])
    maps[0, 3, 0, 0] = maps[0, 3, 5, 7] = 2  # two largest, one of them inside
    np.testing.assert_allclose(tfvid.metrics.pointing_game(maps, boxes, margin=0), [(1 + 0 + 0.5) / 3])


def test_the_margin_is_the_published_one():
    assert [pointing_margin(size, size) for size in (112, 224)] == [7, 15]
    assert pointing_margin(128, 171) == 8 and pointing_margin(8, 8) == 0
    maps = np.zeros((1, 1, 112, 112), np.float32)
    maps[0, 0, 26, 50] = 1  # its centre, 26.5, is 6.5 below the box
    assert tfvid.metrics.pointing_game(maps, boxes_of([10, 40, 20, 60])) == 1
    assert tfvid.metrics.pointing_game(maps, boxes_of([10, 40, 19, 60])) == 0


def test_energy_in_box_by_hand():
    maps = maps_of([[1, 2], [3, -9]], [[5, 5], [5, 5]])
    np.testing.assert_allclose(tfvid.metrics.energy_in_box(maps, boxes_of([0, 0, 1, 2], NAN)), [3 / 6])
    np.testing.assert_allclose(tfvid.metrics.energy_in_box(maps, boxes_of([0, 0, 1, 2], [0, 0, 2, 1])), [13 / 26])
    np.testing.assert_array_equal(tfvid.metrics.energy_in_box(-np.abs(maps), boxes_of([0, 0, 1, 2], NAN)), [0])


def test_spatio_temporal_iou_by_hand():
    maps = maps_of([[9, 8], [1, 0]], [[7, 0], [0, 0]])
    boxes = boxes_of([0, 0, 1, 2], [0, 0, 1, 2])  # the upper row of both frames: four voxels
    np.testing.assert_allclose(tfvid.metrics.spatio_temporal_iou(maps, boxes), [3 / 5])  # 9, 8, 7, and 1, a miss
    np.testing.assert_allclose(tfvid.metrics.spatio_temporal_iou(maps, boxes, threshold=0.8), [2 / 4])  # 9 and 8
    np.testing.assert_allclose(tfvid.metrics.spatio_temporal_iou(maps, boxes, threshold=0), [3 / 5])
    # A frame without a box holds nothing to be found: of two voxels one is right.
    np.testing.assert_allclose(
        tfvid.metrics.spatio_temporal_iou(maps_of([[9, 0]], [[8, 0]]), boxes_of([0, 0, 1, 2], NAN)), [1 / 3]
    )


def test_equal_values_at_the_limit_share_the_places():
    values, truth = np.array([[5.0, 1, 1, 1, 0]]), np.array([[True, True, False, False, False]])
    np.testing.assert_allclose(overlap(values, truth, None), [(1 + 1 / 3) / (4 - 4 / 3)])
    np.testing.assert_allclose(overlap(np.zeros((1, 5)), truth, None), [0.8 / 3.2])  # two fifths of each of five
    np.testing.assert_array_equal(overlap(np.zeros((1, 5)), truth, 0.5), [0])
    np.testing.assert_array_equal(overlap(values, ~truth & truth, None), [0])


def test_boxes_end_at_the_frame():
    maps = random_map((1, 2, 4, 6))
    inner, outer = boxes_of([0, 0, 2, 3], NAN), boxes_of([-5, -1, 2, 3], [4, 2, 9, 3])  # the last wholly below
    for name in OF_BOXES:
        np.testing.assert_array_equal(METRICS.find(name)(maps, outer), METRICS.find(name)(maps, inner))
    np.testing.assert_array_equal(known_boxes(outer, maps.shape), [True])
    np.testing.assert_array_equal(known_boxes(outer[:, 1:], (1, 1, 4, 6)), [False])


# Events.


def test_events_by_hand():
    maps = of_frames(1, 4, 3, 2)
    np.testing.assert_array_equal(tfvid.metrics.temporal_pointing(maps, [[1, 2]]), [1])
    np.testing.assert_array_equal(tfvid.metrics.temporal_pointing(maps, [[2, 4]]), [0])
    np.testing.assert_allclose(tfvid.metrics.temporal_iou(maps, [[2, 4]]), [1 / 3])  # frames 1 and 2 against 2 and 3
    np.testing.assert_allclose(tfvid.metrics.temporal_iou(maps, [[2, 4]], threshold=0.4), [2 / 3])  # 1, 2 and 3
    np.testing.assert_allclose(tfvid.metrics.average_precision(maps, [[2, 4]]), [(1 / 2 + 2 / 3) / 2])
    np.testing.assert_allclose(tfvid.metrics.average_precision(maps, [[1, 3]]), [1])
    np.testing.assert_allclose(tfvid.metrics.average_precision(maps, [[0, 1]]), [1 / 4])


def test_equally_relevant_frames():
    maps, event = of_frames(2, 2, 2, 0, 0), [[2, 4]]
    np.testing.assert_allclose(tfvid.metrics.temporal_pointing(maps, event), [1 / 3])
    np.testing.assert_allclose(tfvid.metrics.temporal_iou(maps, event), [(2 / 3) / (4 - 2 / 3)])
    np.testing.assert_allclose(tfvid.metrics.average_precision(maps, event), [(1 / 3 + 2 / 5) / 2])
    for equal in (0, 1, -1):  # what chance gives: the event's share
        np.testing.assert_allclose(tfvid.metrics.temporal_pointing(of_frames(*[equal] * 5), event), [2 / 5])
        np.testing.assert_allclose(tfvid.metrics.average_precision(of_frames(*[equal] * 5), event), [2 / 5])


def test_the_relevance_of_a_frame_is_its_positive_part():
    np.testing.assert_allclose(frame_relevance(maps_of([[4, -8]], [[1, 2]], [[-1, -1]])), [[2, 1.5, 0]])


# What holds for all of them.

SHAPE = (2, 5, 6, 7)
TRUTH = {
    **dict.fromkeys(OF_BOXES, np.tile([[[[1.0, 2.0, 4.0, 6.0], NAN]]], (2, 5, 1, 1))),
    **dict.fromkeys(OF_EVENTS, np.array([[1, 3], [0, 5]])),
}
UNKNOWN = {
    **dict.fromkeys(OF_BOXES, np.full((2, 5, 2, 4), np.nan)),
    **dict.fromkeys(OF_EVENTS, np.full((2, 2), -1)),
}


@pytest.mark.parametrize("name", TRUTH)
def test_contract(name):
    measure, maps = METRICS.find(name), np.random.default_rng(0).normal(size=SHAPE)
    result = measure(maps, TRUTH[name])
    assert result.shape == (2,) and result.dtype == np.float32 and (result >= 0).all() and (result <= 1).all()
    np.testing.assert_array_equal(measure(maps[1:], TRUTH[name][1:]), result[1:])
    np.testing.assert_array_equal(measure(3 * maps, TRUTH[name]), result)
    np.testing.assert_array_equal(measure(maps, UNKNOWN[name]), [0, 0])
    for equal in (0, 1, -1):
        assert np.isfinite(measure(np.full(SHAPE, equal), TRUTH[name])).all()
    maps[1, 0, 0, 0] = np.nan
    with pytest.raises(TfvidError, match="map of clip 1 has NaN"):
        measure(maps, TRUTH[name])
    with pytest.raises(TfvidError, match="expected maps"):
        measure(maps[0], TRUTH[name])


def test_what_is_not_known():
    np.testing.assert_array_equal(known_events(UNKNOWN["average_precision"]), [False, False])
    np.testing.assert_array_equal(known_boxes(UNKNOWN["pointing_game"], SHAPE), [False, False])


@pytest.mark.parametrize("name", OF_BOXES)
def test_boxes_that_do_not_fit(name):
    measure, maps, boxes = METRICS.find(name), random_map(SHAPE), TRUTH[name]
    turned = boxes.copy()
    turned[1, 2, 0] = [4, 2, 1, 6]
    for bad, message in [
        (turned, r"clip 1, frame 2, box 0: expected \(top, left, bottom, right\), got \[4.0, 2.0, 1.0, 6.0\]"),
        (boxes[:, :3], r"expected boxes \(B, T, N, 4\), B and T \(2, 5\) .* got \(2, 3, 2, 4\)"),
        (boxes[..., :2], "expected boxes"),
        (boxes[0], "expected boxes"),
    ]:
        with pytest.raises(TfvidError, match=message):
            measure(maps, bad)


@pytest.mark.parametrize("name", OF_EVENTS)
def test_events_that_do_not_fit(name):
    measure, maps = METRICS.find(name), random_map(SHAPE)
    for bad, message in [
        ([[1, 3], [2, 6]], r"event of clip 1: expected 0 <= first < one-past-last <= 5, .* got \(2, 6\)"),
        ([[3, 3], [0, 5]], "event of clip 0"),
        ([[-1, 3], [0, 5]], "event of clip 0"),
        ([[1, 3]], r"expected events, ints \(2, 2\), got int64 \(1, 2\)"),
        ([[1.0, 3.0], [0.0, 5.0]], "expected events, ints"),
    ]:
        with pytest.raises(TfvidError, match=message):
            measure(maps, bad)


@pytest.mark.parametrize("name", ["spatio_temporal_iou", "temporal_iou"])
@pytest.mark.parametrize("threshold", [-0.1, 1, np.nan])
def test_thresholds_out_of_range(name, threshold):
    with pytest.raises(TfvidError, match="a threshold in"):
        METRICS.find(name)(random_map(SHAPE), TRUTH[name], threshold=threshold)


maps = arrays.arrays(np.float32, (1, 4, 5, 6), elements=st.integers(-3, 9).map(float))


@settings(max_examples=30, deadline=None)
@given(maps=maps, start=st.integers(0, 3), length=st.integers(1, 4), box=st.tuples(*[st.integers(0, 3)] * 2))
def test_the_truth_itself_is_best_and_ranks_are_all_that_counts(maps, start, length, box):
    event = np.array([[start, min(start + length, 4)]])
    top, left = box
    boxes = np.full((1, 4, 1, 4), np.nan)
    boxes[0, slice(*event[0]), 0] = [top, left, top + 2, left + 2]
    perfect = inside_boxes(boxes, 5, 6).astype(np.float32)
    for name in OF_BOXES:
        assert METRICS.find(name)(perfect, boxes) == 1
        assert 0 <= METRICS.find(name)(maps, boxes) <= 1
    for name in OF_EVENTS:
        assert METRICS.find(name)(perfect, event) == 1
        assert 0 <= METRICS.find(name)(maps, event) <= 1
    bent = np.exp(maps / 3)
    for name in ("pointing_game", "spatio_temporal_iou"):
        np.testing.assert_array_equal(METRICS.find(name)(bent, boxes), METRICS.find(name)(maps, boxes))


def test_random_maps_have_what_chance_gives():
    boxes = np.tile([[[[2.0, 2.0, 6.0, 8.0]]]], (1, 4, 1, 1))  # 24 of 100 pixels
    event = np.array([[1, 2]])
    results = {name: [] for name in (*OF_BOXES, *OF_EVENTS)}
    for seed in range(150):
        for name, values in results.items():
            values.append(METRICS.find(name)(random_map((1, 4, 10, 10), seed), boxes if name in OF_BOXES else event))
    means = {name: np.mean(values) for name, values in results.items()}
    chance = {
        "pointing_game": 0.24,
        "energy_in_box": 0.24,
        "spatio_temporal_iou": 0.24 / (2 - 0.24),
        "temporal_pointing": 1 / 4,
        "temporal_iou": 1 / 4,
        "average_precision": (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4,
    }
    assert means == pytest.approx(chance, abs=0.1)
    assert means["pointing_game"] == pytest.approx(0.24, abs=0.05)


# The maps beside which others are read.


def test_random_map():
    drawn = random_map((3, 2, 4, 5), seed=1)
    assert drawn.shape == (3, 2, 4, 5) and drawn.dtype == np.float32
    np.testing.assert_array_equal(drawn[0], drawn[2])  # no clip's depends on its batch mates
    np.testing.assert_array_equal(drawn[:1], random_map((1, 2, 4, 5), seed=1))
    assert not np.array_equal(drawn, random_map((3, 2, 4, 5), seed=2))
    assert 0.4 < random_map((1, 8, 20, 20)).mean() < 0.6


def test_centre_prior():
    prior = centre_prior((2, 3, 4, 5))
    assert prior.shape == (2, 3, 4, 5) and prior.dtype == np.float32
    assert np.unravel_index(prior[0].argmax(), (3, 4, 5)) in [(1, 1, 2), (1, 2, 2)]
    np.testing.assert_allclose(prior, prior[:, ::-1, ::-1, ::-1])
    # One pixel off the middle in time and half a pixel in height: exp(-(1 / .75)^2 / 2) and exp(-(.5 / 1)^2 / 2).
    np.testing.assert_allclose(prior[0, 0, 1, 2], np.exp(-0.5 * (16 / 9 + 1 / 4)), rtol=1e-6)
    assert centre_prior((1, 1, 1, 1)) == 1


def test_frame_difference():
    """Values 0, 1, 3 in a pixel: steps of 1 and 2; the frame between them has the mean. Channels are averaged."""
    clips = np.zeros((2, 3, 2, 2, 3), np.float32)
    clips[1, :, 1, 0, :2] = np.array([0, 1, 3])[:, np.newaxis]
    maps = frame_difference(clips)
    assert maps.shape == (2, 3, 2, 2) and maps.dtype == np.float32
    np.testing.assert_allclose(maps[1, :, 1, 0], np.array([1, 1.5, 2]) * 2 / 3, rtol=1e-6)
    assert np.count_nonzero(maps) == 3


@pytest.mark.parametrize("scale", [1, 255])
def test_optical_flow_is_the_distance_that_a_texture_moves(scale):
    texture = cv2.GaussianBlur(np.random.default_rng(0).random((64, 80), np.float32), (0, 0), 2)
    clip = np.stack([np.roll(texture, 2 * t, axis=1) for t in range(3)])[np.newaxis, ..., np.newaxis] * scale
    maps = optical_flow(clip)
    assert maps.shape == (1, 3, 64, 80) and maps.dtype == np.float32
    np.testing.assert_allclose(np.median(maps[:, :, 16:48, 20:60], axis=(2, 3)), 2, atol=0.1)
    still = np.repeat(clip[:, :1], 3, axis=1)
    np.testing.assert_allclose(optical_flow(still), 0, atol=1e-3)


def test_edges():
    """Sobel's filter of a step of 1 between two columns: 4 in both."""
    clip = np.zeros((1, 2, 5, 6, 3), np.float32)
    clip[:, 1, :, 3:] = 1
    maps = edges(clip)
    np.testing.assert_allclose(maps[0, 1], np.tile([0, 0, 4, 4, 0, 0], (5, 1)))
    assert not maps[0, 0].any() and maps.dtype == np.float32


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("shape", [(2, 3, 8, 9, 3), (1, 1, 6, 6, 1)])
def test_each_baseline_takes_small_clips(name, shape):
    clips = np.random.default_rng(1).random(shape, np.float32)
    maps = BASELINES[name](clips, 0)
    assert maps.shape == shape[:4] and maps.dtype == np.float32 and np.isfinite(maps).all() and (maps >= 0).all()
    if len(clips) > 1 and name != "random":
        np.testing.assert_allclose(maps[1:], BASELINES[name](clips[1:], 0), atol=1e-5)  # of each clip alone
