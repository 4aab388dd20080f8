"""Crops, mirrors, colours and parts of the time; boxes, labels and events change along with the frames."""

import numpy as np
import pytest
import tensorflow as tf

from tfvid.data.augment import augment, crop, mirror, recolour, stretch

T, H, W = 3, 8, 10


def make_clip(boxes=None):
    """Each pixel's red is its row, green its column, blue its frame."""
    t, y, x = np.indices((T, H, W))
    frames = np.stack([y * 10, x * 10, t * 10], -1).astype(np.uint8)
    boxes = np.full((T, 1, 4), np.nan) if boxes is None else np.broadcast_to(boxes, (T, 1, 4))
    return {
        "clip": tf.constant(frames),
        "label": tf.constant(1),
        "id": tf.constant("a"),
        "event": tf.constant([1, 2]),
        "boxes": tf.constant(boxes, tf.float32),
    }


def test_crop_by_hand():
    clip = make_clip(boxes=[4, 5, 6, 9])
    result = crop(clip, 0.5, 0.99, 0.0)  # rows 4 to 8, columns 0 to 5, each pixel becoming 2 x 2
    frames = result["clip"].numpy()
    assert frames.shape == (T, H, W, 3) and frames.dtype == np.uint8
    # Half-pixel centres: output row i samples input row 4 + (i + 0.5) / 2 - 0.5, edges repeated.
    rows = np.clip((np.arange(H) + 0.5) / 2 - 0.5, 0, 3) + 4
    np.testing.assert_allclose(frames[0, :, 0, 0], rows * 10, atol=0.51)
    assert (frames[..., 2] == np.arange(T)[:, None, None] * 10).all()
    assert np.isnan(result["boxes"]).all()  # it began at column 5
    result = crop(make_clip(boxes=[3, 1, 6, 4]), 0.5, 0.99, 0.0)
    np.testing.assert_array_equal(result["boxes"][0, 0], [0, 2, 4, 8])  # its upper end is cut off


def test_boxes_follow_what_they_mark():
    frames = np.zeros((T, 40, 40, 3), np.uint8)
    frames[:, 16:24, 20:28] = 255
    clip = make_clip(boxes=[16, 20, 24, 28]) | {"clip": tf.constant(frames)}
    for i in range(10):
        seed = tf.constant([0, i], tf.int64)
        result = augment(clip, seed, 0.7, {}, 2)
        bright = result["clip"].numpy()[0, ..., 0] > 127
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        seen = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
        np.testing.assert_allclose(result["boxes"][1, 0], seen, atol=1)


def test_mirror_by_hand():
    result = mirror(make_clip(boxes=[1, 2, 3, 5]), tf.constant([0, 2, 1]))
    np.testing.assert_array_equal(result["clip"], make_clip()["clip"].numpy()[:, :, ::-1])
    np.testing.assert_array_equal(result["boxes"][0, 0], [1, 5, 3, 8])
    assert result["label"] == 2
    assert result["event"].numpy().tolist() == [1, 2]


def test_mirror_twice_is_nothing():
    clip = make_clip(boxes=[1, 2, 3, 5])
    labels = tf.constant([0, 2, 1])
    for name, value in mirror(mirror(clip, labels), labels).items():
        np.testing.assert_array_equal(value, clip[name])


def test_absent_boxes_stay_absent():
    result = augment(make_clip(), tf.constant([0, 1], tf.int64), 0.5, {}, 2)
    assert np.isnan(result["boxes"]).all()


@pytest.mark.parametrize("flip_labels", [None, {}])
def test_mirrors_only_where_declared(flip_labels):
    clip = make_clip()
    mirrored = 0
    for i in range(40):
        result = augment(clip, tf.constant([7, i], tf.int64), 1.0, flip_labels, 2)["clip"].numpy()
        if (result == clip["clip"].numpy()[:, :, ::-1]).all():
            mirrored += 1
        else:
            np.testing.assert_array_equal(result, clip["clip"])
    assert mirrored == 0 if flip_labels is None else 10 <= mirrored <= 30


def test_crops_keep_their_share_and_are_alike_over_time():
    frames = np.broadcast_to(np.arange(100, dtype=np.uint8)[None, None, :, None], (T, 100, 100, 3))
    clip = make_clip() | {"clip": tf.constant(frames)}
    spans, same = [], augment(clip, tf.constant([3, 4], tf.int64), 0.6, None, 2)
    for i in range(30):
        result = augment(clip, tf.constant([3, i], tf.int64), 0.6, None, 2)["clip"].numpy().astype(int)
        assert (result == result[:1]).all()
        spans.append(result[0, 0, -1, 0] - result[0, 0, 0, 0] + 1)
        if i == 4:
            np.testing.assert_array_equal(result, same["clip"])
    assert 60 <= min(spans) < 70 and 90 < max(spans) <= 100


def test_stretch_by_hand():
    """Half of eight frames, as late as possible: frames 4 to 7, each twice (round to even); the event moves along."""
    frames = np.broadcast_to(np.arange(8, dtype=np.uint8)[:, None, None, None], (8, 2, 2, 3))
    boxes = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None, None], (8, 1, 4))
    clip = {"clip": tf.constant(frames), "boxes": tf.constant(boxes), "event": tf.constant([2, 6])}
    result = stretch(clip, 0.5, 0.99)
    taken = [4, 4, 5, 5, 6, 6, 7, 7]  # 4 + round(3 i / 7)
    assert result["clip"][:, 0, 0, 0].numpy().tolist() == taken
    assert result["boxes"][:, 0, 0].numpy().tolist() == taken
    assert result["event"].numpy().tolist() == [0, 4]
    assert stretch({**clip, "event": tf.constant([0, 3])}, 0.5, 0.99)["event"].numpy().tolist() == [-1, -1]
    for name, value in stretch(clip, 1.0, 0.5).items():
        np.testing.assert_array_equal(value, clip[name])


def test_recolour_by_hand():
    """Two pixels: brightness doubles both, contrast halves the distance from the mean 90, saturation 0 makes grey."""
    frames = tf.constant([[[[30, 30, 30], [60, 60, 60]]]], tf.uint8)
    assert recolour(frames, tf.constant([2.0, 1.0, 1.0]))[0, 0, :, 0].numpy().tolist() == [60, 120]
    assert recolour(frames, tf.constant([2.0, 0.5, 1.0]))[0, 0, :, 0].numpy().tolist() == [75, 105]
    red = tf.constant([[[[200, 0, 0]]]], tf.uint8)
    assert recolour(red, tf.constant([1.0, 1.0, 0.0])).numpy().ravel().tolist() == [60, 60, 60]  # 0.299 * 200
    assert recolour(red, tf.constant([2.0, 1.0, 1.0])).numpy().ravel().tolist() == [255, 0, 0]


def test_new_changes_leave_the_crop_as_it_was():
    clip, seed = make_clip(), tf.constant([0, 5], tf.int64)
    plain = augment(clip, seed, 0.5, {}, 2)
    longer = augment(clip, seed, 0.5, {}, 2, min_length=1.0, colour=0.0)
    np.testing.assert_array_equal(plain["clip"], longer["clip"])
    changed = augment(clip, seed, 0.5, {}, 2, colour=0.5)["clip"]
    assert (changed.numpy() != plain["clip"].numpy()).any()
