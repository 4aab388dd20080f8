"""EPIC-KITCHENS: actions cut out of long videos, boxes of their nouns, and lines that are not as published."""

import numpy as np
import pytest
from small_videos import frame_numbers, write_frames, write_video

from tfvid.core.errors import DataError, TfvidError
from tfvid.data.decode.clip import Sample
from tfvid.data.decode.video import decode_clip
from tfvid.data.pipeline import load_dataset, make_dataset
from tfvid.data.sources.epic_kitchens import EpicKitchens, read_boxes, read_classes

COLUMNS = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame,"
    "narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes"
)
OPEN = "P01_01_0,P01,P01_01,00:00:01.089,00:00:00.20,00:00:00.60,6,15,open door,open,1,door,1,\"['door']\",[1]"
TAKE = "P01_01_1,P01,P01_01,00:00:02.629,00:00:00.40,00:00:00.80,11,20,take plate,take,0,plate,0,\"['plate']\",[0]"
VERBS = "id,key,instances,category\n0,take,\"['take', 'grab']\",retrieve\n1,open,\"['open']\",access\n"
NOUNS = """id,key,instances,category
0,plate,"['plate', 'plate:small']",crockery
1,door,"['door', ""door's""]",room
"""
BOXES = (
    "noun_class,noun,participant_id,video_id,frame,bounding_boxes\n"
    '12,plate:small,P01,P01_01,13,"[(54, 192, 108, 384), (0, 0, 54, 96)]"\n'
    '12,plate,P01,P01_01,13,"[(540, 960, 108, 192)]"\n'
    "9,door,P01,P01_01,13,[]\n"
    '7,spoon,P01,P01_01,13,"[(1, 2, 3, 4)]"\n'
)
INFO = "video_id,duration,fps,resolution\nP01_01,1.2,25.0,960x540\n"


@pytest.fixture
def root(tmp_path):
    for name, text in {
        "EPIC_100_train.csv": f"{COLUMNS}\n{OPEN}\n{TAKE}\n",
        "EPIC_100_validation.csv": f"{COLUMNS}\n",
        "EPIC_100_verb_classes.csv": VERBS,
        "EPIC_100_noun_classes.csv": NOUNS,
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def write_epic_video(root, num_frames=25):
    video = write_video(root / "P01" / "videos" / "P01_01.mp4", num_frames, (54, 96))
    return video.rename(video.with_suffix(".MP4"))


def test_actions_by_verb_and_by_noun(root):
    path = str(root / "P01" / "videos" / "P01_01.MP4")
    verbs, nouns = EpicKitchens(root), EpicKitchens(root, classify="noun")
    assert verbs.class_names == ("take", "open") and nouns.class_names == ("plate", "door")
    assert verbs.splits == ("train", "validation") and verbs.samples("validation") == []
    assert verbs.samples("train") == [Sample("P01_01_0", 1, path, 5, 15), Sample("P01_01_1", 0, path, 10, 20)]
    assert [sample.label for sample in nouns.samples("train")] == [1, 0]
    only = EpicKitchens(root, classes=["open"]).samples("train")
    assert [(sample.id, sample.label) for sample in only] == [("P01_01_0", 0)]


def test_time_stamps_at_the_videos_own_rate(root):
    (root / "EPIC_100_video_info.csv").write_text(INFO)
    ranges = [(sample.start, sample.stop) for sample in EpicKitchens(root).samples("train")]
    assert ranges == [(5, 15), (10, 20)]
    (root / "EPIC_100_video_info.csv").write_text(INFO.replace("25.0", "50"))
    ranges = [(sample.start, sample.stop) for sample in EpicKitchens(root).samples("train")]
    assert ranges == [(10, 30), (20, 40)]


def test_where_videos_are(root):
    other = root / "videos" / "train" / "P01" / "P01_01.MP4"
    other.parent.mkdir(parents=True)
    other.touch()
    assert {sample.path for sample in EpicKitchens(root).samples("train")} == {str(other)}


def test_a_folder_of_annotations(root, tmp_path_factory):
    videos = tmp_path_factory.mktemp("videos")
    assert len(EpicKitchens(videos, annotations=str(root)).samples("train")) == 2
    with pytest.raises(DataError, match="expected EPIC_100_train.csv or EPIC_100_validation.csv in it"):
        EpicKitchens(videos)
    with pytest.raises(TfvidError, match="unknown classify 'action'"):
        EpicKitchens(root, classify="action")
    with pytest.raises(DataError, match="unknown verb 'opn'; did you mean 'open'"):
        EpicKitchens(root, classes=["opn"])
    with pytest.raises(DataError, match="unknown split 'test'"):
        EpicKitchens(root).samples("test")


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (TAKE.replace("P01_01,", "../P01,"), "expected video_id P<NN>_<NN>"),
        (TAKE.replace("P01_01_1", "P01_01_0"), "P01_01_0 is there twice"),
        (TAKE.replace("take,0", "take,9"), "verb_class 9 is not in EPIC_100_verb_classes.csv"),
        (TAKE.replace("take,0", "take,"), "verb_class must be a whole number, 0 or more, got ''"),
        (TAKE.replace(",11,20", ",11,x"), "stop_frame must be a whole number"),
        (TAKE.replace(",11,20", ",20,11"), "ends at frame 11, before it starts, at 19"),
        (TAKE.rpartition(",")[0], "expected 15 values"),
    ],
)
def test_malformed_lines(root, line, detail):
    file = root / "EPIC_100_train.csv"
    file.write_text(f"{COLUMNS}\n{OPEN}\n{line}\n")
    with pytest.raises(DataError) as caught:
        EpicKitchens(root).samples("train")
    message = str(caught.value)
    assert message.startswith(f"{file}, line 3: ") and detail in message and "\n" not in message


def test_other_files_that_are_not_as_published(root):
    (root / "EPIC_100_video_info.csv").write_text(INFO)
    (root / "EPIC_100_train.csv").write_text(f"{COLUMNS}\n{OPEN.replace('00:00:00.20', '0.2 s')}\n")
    with pytest.raises(DataError, match="line 2: start_timestamp must be HH:MM:SS.ss, got '0.2 s'"):
        EpicKitchens(root).samples("train")
    for bad in ("zero", "0", "nan"):
        (root / "EPIC_100_video_info.csv").write_text(INFO.replace("25.0", bad))
        with pytest.raises(DataError, match="video_info.csv, line 2: expected fps and <width>x<height>"):
            EpicKitchens(root)
    (root / "EPIC_100_video_info.csv").unlink()
    for text, detail in [
        ("id,key\n0,take\n", "no column 'instances' in its first line"),
        ("id,key,instances,category\n", "no classes in it"),
        (VERBS + "1,shut,[],x\n", "line 4: class 1 is there twice"),
        ("\xff", "cannot be read|no column"),
    ]:
        (root / "EPIC_100_verb_classes.csv").write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=f"EPIC_100_verb_classes.csv.*({detail})"):
            EpicKitchens(root)


def test_classes_and_their_words(root):
    assert read_classes(root / "EPIC_100_noun_classes.csv") == {
        0: ("plate", ["plate", "plate:small"]),
        1: ("door", ["door", "door's"]),
    }


def test_boxes_of_nouns(root):
    """By the word, whatever its number was in EPIC-KITCHENS-55; two words of one noun go together."""
    file = root / "EPIC_train_object_labels.csv"
    file.write_text(BOXES)
    found = read_boxes(file, read_classes(root / "EPIC_100_noun_classes.csv"))
    assert list(found) == [("P01_01", 0)] and list(found["P01_01", 0]) == [12]
    expected = [[54, 192, 162, 576], [0, 0, 54, 96], [540, 960, 648, 1152]]
    np.testing.assert_array_equal(found["P01_01", 0][12], expected)


@pytest.mark.parametrize(
    "text", ["[(1, 2, 3)]", "(1, 2, 3, 4)", "[(1, 2, 3, 4), x]", "[__import__('os')]", "[(-1, 2, 3, 4)]", ""]
)
def test_boxes_are_numbers_and_nothing_else(root, text):
    file = root / "boxes.csv"
    file.write_text(f'noun,video_id,frame,bounding_boxes\nplate,P01_01,31,"{text}"\n')
    with pytest.raises(DataError, match=r"boxes.csv, line 2: expected a frame from 1 and '\[\(top"):
        read_boxes(file, read_classes(root / "EPIC_100_noun_classes.csv"))


def test_clips_know_boxes(root):
    """Frames 10 to 19 of the video; boxes of its frame 12 (the 13th) hold up to 15 frames away: for all of them."""
    write_epic_video(root)
    (root / "EPIC_train_object_labels.csv").write_text(BOXES)
    dataset = make_dataset("epic_kitchens", root, boxes="EPIC_train_object_labels.csv")
    assert dataset.max_boxes == 3
    door, plate = dataset.samples("train")
    clip = dataset.read(plate, 4, (108, 192))
    assert np.abs(np.subtract(frame_numbers(clip.frames), [10, 13, 16, 19])).max() == 0
    expected = [[5.4, 19.2, 16.2, 57.6], [0, 0, 5.4, 9.6], [54, 96, 64.8, 115.2]]
    np.testing.assert_allclose(clip.boxes, np.tile(expected, (4, 1, 1)), rtol=1e-5)
    assert clip.event.tolist() == [-1, -1]
    assert np.isnan(dataset.read(door, 4, (108, 192)).boxes).all()

    (root / "EPIC_100_video_info.csv").write_text(INFO)  # drawn on frames of half the size
    dataset = EpicKitchens(root, boxes="EPIC_train_object_labels.csv")
    clip = dataset.read(plate, 4, (108, 192))
    np.testing.assert_allclose(clip.boxes[0, 1], [0, 0, 10.8, 19.2], rtol=1e-5)

    batch = next(iter(load_dataset(dataset, "train", num_frames=2, size=(54, 96), workers=1).as_numpy_iterator()))
    assert batch["boxes"].shape == (2, 2, 3, 4) and frame_numbers(255 * batch["clip"][1]) == [10, 19]


def test_annotated_frames_that_are_far_away(root):
    write_epic_video(root)
    (root / "EPIC_train_object_labels.csv").write_text(BOXES.replace("P01_01,13", "P01_01,29"))
    dataset = EpicKitchens(root, boxes="EPIC_train_object_labels.csv")
    known = ~np.isnan(dataset.read(dataset.samples("train")[1], 10, (54, 96)).boxes[:, 0, 0])
    assert known.tolist() == [False] * 3 + [True] * 7  # frames 10, 11, 12 are more than 15 away from frame 28


@pytest.mark.parametrize("place", ["P01/rgb_frames/P01_01", "frames_rgb_flow/rgb/train/P01/P01_01"])
def test_folders_of_frames_by_their_numbers(root, place):
    """Whatever the video's rate: the annotations' frames 11 to 20 are the pictures of these numbers."""
    (root / "EPIC_100_video_info.csv").write_text(INFO.replace("25.0", "50"))
    write_frames(root / place, range(1, 26), "frame_{:010d}.jpg")
    dataset = EpicKitchens(root)
    sample = dataset.samples("train")[1]
    assert sample == Sample("P01_01_1", 0, str(root / place), 10, 20)
    assert frame_numbers(dataset.read(sample, 4, (32, 48)).frames) == [11, 14, 17, 20]


def test_missing_frames_move_no_other(root):
    folder = root / "P01" / "rgb_frames" / "P01_01"
    write_frames(folder, [1, 2, 9, 10, 11, 13, 14, 15, 16], "frame_{:010d}.jpg")
    (root / "EPIC_train_object_labels.csv").write_text(BOXES.replace("P01_01,13", "P01_01,29"))
    dataset = EpicKitchens(root, boxes="EPIC_train_object_labels.csv")
    clip = dataset.read(dataset.samples("train")[1], 6, (32, 48))
    assert "lacks 1 picture between its first and its last (the first: number 12)" in clip.damage
    assert frame_numbers(clip.frames) == [11, 13, 14, 14, 15, 16]
    # Boxes of frame 29 hold up to 15 frames away, from frame 14 on.
    assert (~np.isnan(clip.boxes[:, 0, 0])).tolist() == [False] * 2 + [True] * 4


def test_folders_of_other_frames_are_refused(root):
    folder = root / "P01" / "rgb_frames" / "P01_01"
    write_frames(folder, range(1, 6), "frame_{:010d}.jpg")
    dataset = EpicKitchens(root)
    with pytest.raises(
        DataError, match="has none of the frames 11 to 20; expected the published names, from frame_0000000001.jpg on"
    ):
        dataset.read(dataset.samples("train")[1], 4, (32, 48))
    from_zero = root / "from_zero"
    write_frames(from_zero, range(25), "frame_{:010d}.jpg")
    with pytest.raises(DataError, match="counts frames from 0; expected the published names"):
        dataset.read(Sample("a", 0, str(from_zero), 10, 20), 4, (32, 48))


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_seeking_finds_the_frames_that_decoding_finds(tmp_path, suffix):
    path = write_video(tmp_path / f"long{suffix}", 25)
    for start, stop in ((0, 5), (7, 19), (13, None), (24, 25), (20, 40)):
        sought, decoded = (decode_clip(path, 3, (32, 48), start, stop, seek=seek) for seek in (True, False))
        np.testing.assert_array_equal(sought.frames, decoded.frames)
        assert (sought.decoded, sought.damage) == (decoded.decoded, decoded.damage)
    for seek in (True, False):
        with pytest.raises(DataError, match="it has 25 frames, the clip starts at frame 30"):
            decode_clip(path, 3, (32, 48), 30, 40, seek=seek)
