"""The moving shapes: their events, boxes, exact reversals, and the same clips as video files."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfvid.core.errors import TfvidError
from tfvid.data.sources.shapes import CLASSES, MovingShapes, draw_clip, event_window, outline
from tfvid.data.sources.something import SomethingSomething
from tfvid.data.sources.write_videos import write_videos

PAIRS = [
    ("Moving something from left to right", "Moving something from right to left"),
    ("Moving something up", "Moving something down"),
    ("Moving something and something towards each other", "Moving something and something away from each other"),
    ("Turning the camera left", "Turning the camera right"),
    ("Turning the camera up", "Turning the camera down"),
    ("Something appearing", "Something disappearing"),
]


def draw(name, seed=0, domain="a", num_frames=16, size=(48, 64)):
    return draw_clip(name, np.random.default_rng(seed), num_frames, size, domain)


@pytest.mark.parametrize("domain", ["a", "b"])
@pytest.mark.parametrize("forward, backward", PAIRS)
def test_paired_classes_are_exact_reversals(forward, backward, domain):
    first, second = draw(forward, domain=domain), draw(backward, domain=domain)
    np.testing.assert_array_equal(first.frames, second.frames[::-1])
    np.testing.assert_array_equal(first.boxes, second.boxes[::-1])
    assert list(first.event) == [16 - second.event[1], 16 - second.event[0]]


@pytest.mark.parametrize("name", CLASSES)
def test_frames_change_inside_the_event_and_rest_outside(name):
    clip = draw(name, seed=3)
    start, stop = clip.event
    # Sensor noise, 0.01 * 255 a pixel, all but vanishes in the mean over 7 x 7; what moves or fades does not.
    smooth = np.stack([cv2.blur(frame.astype(np.float32), (7, 7)) for frame in clip.frames])
    change = np.abs(np.diff(smooth, axis=0)).max((1, 2, 3)) > 4
    moving = np.zeros(15, bool)
    moving[start - 1 : stop] = True  # the steps into the first event frame up to out of the last
    assert not change[~moving].any()
    assert change[moving].all()


@given(st.integers(0, 10**6), st.integers(4, 64))
@settings(max_examples=50, deadline=None)
def test_event_window_leaves_rest_on_both_sides(seed, num_frames):
    start, stop = event_window(np.random.default_rng(seed), num_frames)
    assert 1 <= start < stop <= num_frames - 1


def test_boxes_follow_the_object():
    clip = draw("Moving something from left to right")
    left = clip.boxes[:, 0, 1]
    start, stop = clip.event
    assert (np.diff(left[start - 1 : stop + 1]) > 0).all()
    assert len(set(left[:start])) == 1 and len(set(left[stop:])) == 1
    assert np.isnan(clip.boxes[:, 1]).all()  # one object takes part
    assert np.isnan(draw("Turning the camera left").boxes).all()  # everything moves: no box


def test_an_object_has_no_box_before_it_appears():
    clip = draw("Something appearing")
    start, stop = clip.event
    assert np.isnan(clip.boxes[:start, 0]).all()
    assert not np.isnan(clip.boxes[stop:, 0]).any()


def test_box_holds_the_object():
    """Outside of the box nothing differs from the background, inside something does."""
    clip = draw("Something appearing", seed=5)
    top, left, bottom, right = clip.boxes[-1, 0].astype(int)
    change = np.abs(clip.frames[-1].astype(int) - clip.frames[0]).max(-1) > 30
    assert change[top:bottom, left:right].any()
    change[top:bottom, left:right] = False
    assert not change.any()


def test_a_clip_depends_on_seed_split_and_index_only():
    first, again, other = MovingShapes(seed=1), MovingShapes(seed=1, train=20), MovingShapes(seed=2)

    def frames(dataset, split, index):
        return dataset.read(dataset.samples(split)[index], 8, (32, 32)).frames

    np.testing.assert_array_equal(frames(first, "train", 7), frames(again, "train", 7))
    assert (frames(first, "train", 7) != frames(other, "train", 7)).any()
    assert (frames(first, "train", 7) != frames(first, "validation", 7)).any()


def test_labels_are_balanced_and_partners_are_declared():
    dataset = MovingShapes(validation=28)
    labels = [sample.label for sample in dataset.samples("validation")]
    assert np.bincount(labels).tolist() == [2] * 14
    names = dataset.class_names
    swapped = {names[a]: names[b] for a, b in dataset.reverse_labels.items()}
    for forward, backward in PAIRS:
        assert swapped[forward] == backward and swapped[backward] == forward
    assert swapped["Something colliding with something"] == "Something colliding with something"
    mirrored = {names[a]: names[b] for a, b in dataset.flip_labels.items()}
    assert mirrored["Turning the camera left"] == "Turning the camera right"
    assert mirrored["Moving something up"] == "Moving something up"


@pytest.mark.parametrize("domain", ["a", "b"])
def test_mirrored_clips_move_the_other_way(domain):
    """What `flip_labels` claims, seen in the boxes of a mirrored clip."""
    clip = draw("Moving something from left to right", domain=domain)
    mirrored_left = 64 - clip.boxes[:, 0, 3]
    assert mirrored_left[-1] < mirrored_left[0]


@pytest.mark.parametrize("shape, share", [("disc", np.pi / 4), ("square", 0.5), ("ring", np.pi / 4 * 0.75)])
def test_outline_covers_the_area_of_its_shape(shape, share):
    """Radius 16 in a 40-pixel box: the circumscribed square has 32 x 32 pixels."""
    np.testing.assert_allclose(outline(shape, 40, 16.0, 0.0).sum() / 32**2, share, rtol=0.02)


def test_bad_requests_are_named():
    with pytest.raises(TfvidError, match="did you mean 'Something appearing'"):
        MovingShapes(classes=["Something apearing"])
    with pytest.raises(TfvidError, match="valid: a, b"):
        MovingShapes(domain="c")
    with pytest.raises(TfvidError, match="4 frames or more"):
        draw("Something appearing", num_frames=3)
    with pytest.raises(TfvidError, match="valid: train, validation"):
        MovingShapes().samples("test")


def test_written_as_something_something(tmp_path):
    """The same clips through files: VP9 encoding, the published layout, decoding."""
    source = MovingShapes(train=2, validation=1)
    assert write_videos(source, tmp_path, num_frames=12, size=(64, 96)) == 3
    assert write_videos(source, tmp_path, num_frames=12, size=(64, 96)) == 0
    read_back = SomethingSomething(tmp_path)
    assert read_back.class_names == source.class_names
    ours, theirs = source.samples("train")[1], read_back.samples("train")[1]
    assert theirs.label == ours.label
    drawn, decoded = source.read(ours, 12, (64, 96)), read_back.read(theirs, 12, (64, 96))
    assert decoded.decoded == 12 and not decoded.damage
    # VP9 at OpenCV's default rate: the pictures agree but for fine texture.
    assert cv2.PSNR(drawn.frames, decoded.frames) > 25
