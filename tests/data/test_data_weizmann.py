"""Weizmann silhouettes, and the clips that are composed of them, on small made-up sequences and on the real ones."""

import numpy as np
import pytest
from scipy.io import savemat
from small_videos import write_frames

from tfvid.core.errors import TfvidError
from tfvid.data.sources.composite import Composite
from tfvid.data.sources.weizmann import ACTIONS, Weizmann
from tfvid.testing import check_dataset

H, W = 12, 20
PERSONS = ("daria", "lyova")


def write(root, names, frames=9):
    """A block of 6 x 2 pixels that goes a pixel to the right in each frame."""
    mask = np.zeros((H, W, frames), np.uint8)
    for t in range(frames):
        mask[3:9, 2 + t : 4 + t, t] = 1
    savemat(root / "classification_masks.mat", {"original_masks": dict.fromkeys(names, mask), "other": 1})
    return root


@pytest.fixture
def root(tmp_path):
    return write(tmp_path, [f"{person}_{action}" for person in PERSONS for action in ACTIONS])


def test_splits_by_person(tmp_path):
    write(tmp_path, ["lena_walk2", "lena_walk1", "daria_wave2", "lyova_bend", "ido_jack"])
    dataset = Weizmann(tmp_path)
    assert [sample.id for sample in dataset.samples("train")] == ["daria_wave2", "ido_jack", "lena_walk1", "lena_walk2"]
    assert [sample.label for sample in dataset.samples("train")] == [9, 1, 7, 7]
    assert [sample.id for sample in dataset.samples("validation")] == ["lyova_bend"]
    other = Weizmann(tmp_path, validation_persons=["ido", "lena"])
    assert [sample.id for sample in other.samples("validation")] == ["ido_jack", "lena_walk1", "lena_walk2"]


def test_frames_masks_and_boxes_by_hand(root):
    dataset = Weizmann(root)
    sample = dataset.samples("train")[0]
    clip = dataset.read(sample, 3, (H, W))  # frames 0, 4 and 8
    expected = np.zeros((3, H, W), bool)
    for t, left in enumerate((2, 6, 10)):
        expected[t, 3:9, left : left + 2] = True
    np.testing.assert_array_equal(clip.frames, np.repeat(expected[..., None] * 255, 3, -1))
    np.testing.assert_array_equal(dataset.masks(sample, 3, (H, W)), expected)
    np.testing.assert_array_equal(clip.boxes[:, 0], [[3, 2, 9, 4], [3, 6, 9, 8], [3, 10, 9, 12]])
    assert clip.event.tolist() == [-1, -1] and clip.decoded == 9
    half = dataset.read(sample, 1, (H // 2, W // 2))
    np.testing.assert_array_equal(half.boxes[0, 0], [1.5, 1, 4.5, 2])
    assert half.frames[0, :, 1, 0].tolist() == [0, 128, 255, 255, 128, 0]  # its rows cover halves of two pixels


@pytest.mark.parametrize(
    ("name", "options", "detail"),
    [
        ("daria_bow", {}, "daria_bow: expected <person>_<action>, e.g. daria_bend"),
        ("otto_bend", {}, "otto_bend: expected <person>_<action>"),
        ("daria_bend", {"validation_persons": ["otto"]}, "person 'otto'"),
        ("daria_bend", {"validation_persons": "ido"}, "validation_persons must be a list of names, got 'ido'"),
    ],
)
def test_what_is_not_as_published(tmp_path, name, options, detail):
    write(tmp_path, [name])
    with pytest.raises(TfvidError, match=detail) as caught:
        Weizmann(tmp_path, **options)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_as_published(tmp_path):
    with pytest.raises(TfvidError, match="classification_masks.mat: no such file"):
        Weizmann(tmp_path)
    file = tmp_path / "classification_masks.mat"
    for masks, detail in [
        ({"daria_bend": np.zeros((4, 5, 6))}, r"daria_bend: expected whole numbers \(height, width, frames\), got"),
        (3, "expected a struct with a field for each sequence, got int"),
    ]:
        savemat(file, {"original_masks": masks})
        with pytest.raises(TfvidError, match=detail):
            Weizmann(tmp_path)
    savemat(file, {"other": 1})
    with pytest.raises(TfvidError, match="expected a MATLAB 5 file with a struct 'original_masks'"):
        Weizmann(tmp_path)


def test_the_contract(root):
    check_dataset(Weizmann(root))
    check_dataset(Composite(root, train=20, validation=20), num_frames=8)


def test_nothing_moves_outside_the_event(root):
    """What changes within it is the person; the mask of the person lies in the box and fills most of it."""
    dataset = Composite(root, train=30, validation=0)
    for sample in dataset.samples("train"):
        clip, masks = dataset.read(sample, 10, (32, 40)), dataset.masks(sample, 10, (32, 40))
        start, stop = clip.event
        assert 1 <= start < stop <= 9 and 4 <= stop - start <= 8
        changes = np.abs(np.diff(clip.frames.astype(int), axis=0)).max((1, 2, 3))
        assert not changes[: start - 1].any() and not changes[stop:].any()
        assert changes[start - 1 : stop].sum() > 0
        for frame, (box,) in zip(masks, clip.boxes, strict=True):
            top, left, bottom, right = box.astype(int)
            assert frame.sum() == frame[top:bottom, left:right].sum() >= 0.5 * (bottom - top) * (right - left)
        elsewhere = np.ones((32, 40), bool)
        top, left, bottom, right = *clip.boxes[:, 0, :2].min(0).astype(int), *clip.boxes[:, 0, 2:].max(0).astype(int)
        elsewhere[top:bottom, left:right] = False
        assert (clip.frames[:, elsewhere] == clip.frames[:1, elsewhere]).all()


def test_a_clip_depends_on_seed_and_index_only(root):
    first, again, other = (Composite(root, train=n, seed=s) for n, s in ((12, 0), (40, 0), (12, 1)))
    sample = first.samples("train")[11]
    frames = first.read(sample, 8, (24, 24)).frames
    np.testing.assert_array_equal(frames, again.read(sample, 8, (24, 24)).frames)
    assert (frames != other.read(sample, 8, (24, 24)).frames).any()
    assert [sample.label for sample in first.samples("train")] == [*range(10), 0, 1]


def test_backgrounds_of_a_folder(root, tmp_path):
    """The two splits have different ones: grey levels 10 to 50 for training, 60 for validation."""
    for level in range(1, 6):
        write_frames(tmp_path / "places" / f"{level}", [level, level + 1])
    dataset = Composite(root, backgrounds=str(tmp_path / "places"), train=10, validation=10)
    seen = {"train": set(), "validation": set()}
    for split, levels in seen.items():
        for sample in dataset.samples(split):
            clip = dataset.read(sample, 4, (32, 40))
            person = dataset.masks(sample, 4, (32, 40)).any(0)
            levels.add(int(np.median(clip.frames[0][~person])))
    assert seen["validation"] == {50} and seen["train"] <= {10, 20, 30, 40} and len(seen["train"]) > 1
    with pytest.raises(TfvidError, match="expected two videos or folders of frames or more, found 1"):
        Composite(root, backgrounds=str(tmp_path / "places" / "1"))


def test_persons_without_an_action(tmp_path):
    write(tmp_path, ["daria_bend", "lyova_bend"])
    with pytest.raises(TfvidError, match="no sequence of jack, jump, .* by the persons of 'train'"):
        Composite(tmp_path)


def test_clips_too_short_for_an_event(root):
    dataset = Composite(root, train=1)
    with pytest.raises(TfvidError, match="composite clips need 4 frames or more"):
        dataset.read(dataset.samples("train")[0], 3, (16, 16))


@pytest.mark.long
def test_the_published_silhouettes(shared_data):
    dataset = Weizmann(shared_data / "weizmann_silhouettes")
    train, validation = dataset.samples("train"), dataset.samples("validation")
    assert (len(train), len(validation)) == (63, 30)
    assert dataset.silhouette(train[0]).shape == (84, 144, 180)  # daria_bend
    assert {dataset.class_names[sample.label] for sample in validation} == set(ACTIONS)
    composed = Composite(shared_data / "weizmann_silhouettes")
    for sample in composed.samples("validation")[:10]:
        clip = composed.read(sample, 16, (64, 64))
        changes = np.abs(np.diff(clip.frames.astype(int), axis=0)).max((1, 2, 3))
        start, stop = clip.event
        assert (changes > 0).tolist() == [start - 1 <= t < stop for t in range(15)]
