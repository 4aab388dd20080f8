"""UCF101: official lists, boxes in both published forms, and lines that are not as published."""

import numpy as np
import pytest
from scipy.io import savemat
from small_videos import frame_numbers, write_video

from tfvid.core.errors import DataError, TfvidError
from tfvid.data.decode.clip import Sample
from tfvid.data.pipeline import load_dataset, make_dataset
from tfvid.data.sources.ucf101 import UCF101, UCF101_24
from tfvid.data.sources.ucf101_boxes import read_boxes

CLASSES = "1 Archery\n2 Basketball\n3 HandstandPushups\n"
TRAIN = "Archery/v_Archery_g08_c01.avi 1\nBasketball/v_Basketball_g08_c01.avi 2\n"
TEST = "Basketball/v_Basketball_g01_c01.avi\r\nHandstandPushups/v_HandStandPushups_g01_c02.avi\r\n"


@pytest.fixture
def root(tmp_path):
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text(CLASSES)
    (lists / "trainlist01.txt").write_text(TRAIN)
    (lists / "testlist01.txt").write_text(TEST)
    return tmp_path


def tube(first, last, boxes, number=1):
    return {"ef": last, "sf": first, "class": number, "boxes": np.array(boxes, float)}


def save_matlab(file, *videos):
    """As published: struct arrays of one row."""
    fields = [("num_imgs", object), ("name", object), ("tubes", object)]
    annot = np.zeros((1, len(videos)), fields)
    for place, (name, tubes) in enumerate(videos):
        described = np.zeros((1, len(tubes)), [(field, object) for field in ("ef", "sf", "class", "boxes")])
        for other, values in enumerate(tubes):
            described[0, other] = tuple(values[field] for field in ("ef", "sf", "class", "boxes"))
        annot[0, place] = (20, name, described)
    savemat(file, {"annot": annot})
    return file


def viper(people: str, head: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<viper xmlns="http://lamp.cfar.umd.edu/viper#" '
        'xmlns:data="http://lamp.cfar.umd.edu/viperdata#"><config/><data><sourcefile filename="a.avi">'
        f'<file id="0" name="Information"/>{people}</sourcefile><sourcefile filename="other.avi">'
        '<object framespan="1:9" id="0" name="PERSON"><attribute name="Location">'
        '<data:bbox framespan="1:9" height="9" width="9" x="1" y="1"/></attribute></object>'
        "</sourcefile></data></viper>"
    )


def person(boxes: str, acts: str | None = None, name="PERSON", attribute="Basketball") -> str:
    location = f'<attribute name="Location">{boxes}</attribute>'
    truth = f'<attribute name="{attribute}"><data:bvalue framespan="1:99" value="{acts}"/></attribute>' if acts else ""
    return f'<object framespan="1:9" id="0" name="{name}">{location}{truth}</object>'


def bbox(span, x, y, width, height):
    return f'<data:bbox framespan="{span}" height="{height}" width="{width}" x="{x}" y="{y}"/>'


def write_viper(folder, text, name="v_Basketball_g01_c01"):
    (folder / "Basketball").mkdir(parents=True, exist_ok=True)
    (folder / "Basketball" / f"{name}.xgtf").write_text(text)
    return folder


# The lists


def test_the_official_lists(root):
    dataset = UCF101(root)
    assert dataset.class_names == ("Archery", "Basketball", "HandstandPushups")
    videos = root / "UCF-101"
    assert dataset.samples("train") == [
        Sample("v_Archery_g08_c01", 0, str(videos / "Archery" / "v_Archery_g08_c01.avi")),
        Sample("v_Basketball_g08_c01", 1, str(videos / "Basketball" / "v_Basketball_g08_c01.avi")),
    ]
    assert [(sample.id, sample.label) for sample in dataset.samples("validation")] == [
        ("v_Basketball_g01_c01", 1),
        ("v_HandStandPushups_g01_c02", 2),
    ]
    assert dataset.max_boxes == 0 and len(set(UCF101_24)) == 24


def test_some_classes_and_another_fold(root):
    dataset = UCF101(root, classes=["HandstandPushups", "Basketball"])
    assert [(sample.id, sample.label) for sample in dataset.samples("validation")] == [
        ("v_Basketball_g01_c01", 1),
        ("v_HandStandPushups_g01_c02", 0),
    ]
    with pytest.raises(DataError, match="trainlist02.txt: cannot be read"):
        UCF101(root, fold=2).samples("train")
    with pytest.raises(TfvidError, match="unknown fold '4'; valid: 1, 2, 3"):
        UCF101(root, fold=4)
    with pytest.raises(DataError, match="unknown class 'Basketbal'; did you mean 'Basketball'"):
        UCF101(root, classes=["Basketbal"])
    with pytest.raises(DataError, match="unknown split 'test'"):
        dataset.samples("test")


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("v_Basketball_g01_c02.avi", "expected <Class>/v_<Class>_gNN_cNN.avi, got 'v_Basketball_g01_c02.avi'"),
        ("Basketball/v_Archery_g01_c02.avi", "expected <Class>/v_<Class>_gNN_cNN.avi"),
        ("../v_Basketball_g01_c02.avi", "expected <Class>/v_<Class>_gNN_cNN.avi"),
        ("Basketbal/v_Basketbal_g01_c02.avi", "unknown class 'Basketbal'; did you mean 'Basketball'"),
        ("Basketball/v_Basketball_g01_c02.avi 1", "Basketball is class 2, got '1'"),
        ("Basketball/v_Basketball_g01_c01.avi 2", "v_Basketball_g01_c01 is there twice"),
    ],
)
def test_malformed_lines(root, line, detail):
    file = root / "ucfTrainTestlist" / "trainlist01.txt"
    file.write_text(f"Basketball/v_Basketball_g01_c01.avi 2\n\n{line}\n")
    with pytest.raises(DataError) as caught:
        UCF101(root).samples("train")
    message = str(caught.value)
    assert message.startswith(f"{file}, line 3: ") and detail in message and "\n" not in message


@pytest.mark.parametrize(
    ("text", "detail"),
    [("1 A\nB\n", "line 2: expected '<number> <Class>'"), ("1 A\n1 B\n", "line 2: 1 B is there twice"), ("", "no cl")],
)
def test_malformed_classes(root, text, detail):
    (root / "ucfTrainTestlist" / "classInd.txt").write_text(text)
    with pytest.raises(DataError, match=detail):
        UCF101(root)


# The boxes


def test_matlab_boxes(tmp_path):
    """Frames and pixels count from 1; a video of one tube, and a tube of one frame, come without a list."""
    file = save_matlab(
        tmp_path / "finalAnnots.mat",
        ("Basketball/v_Basketball_g01_c01", [tube(3, 4, [[11, 21, 30, 40], [12, 21, 30, 40]])]),
        ("Biking/v_Biking_g01_c01", [tube(1, 1, [[1, 1, 5, 6]]), tube(2, 3, [[2, 3, 4, 5]] * 2)]),
    )
    found = read_boxes(file)
    assert list(found) == ["v_Basketball_g01_c01", "v_Biking_g01_c01"]
    (only,) = found["v_Basketball_g01_c01"]
    assert (only.start, only.stop) == (2, 4)
    np.testing.assert_array_equal(only.boxes, [[20, 10, 60, 40], [20, 11, 60, 41]])
    assert [(t.start, t.stop) for t in found["v_Biking_g01_c01"]] == [(0, 1), (1, 3)]
    np.testing.assert_array_equal(found["v_Biking_g01_c01"][0].boxes, [[0, 0, 6, 5]])


def test_matlab_files_that_are_not_as_published(tmp_path):
    short = tube(3, 9, [[1, 1, 2, 2]])
    for videos, detail in [
        ([("Basketball/v_Basketball_g01_c01", [short])], r"annot\(1\): frames 3 to 9 with boxes of shape \(1, 4\)"),
        ([("Basketball/../x", [short])], r"annot\(1\): name 'x' is not v_<Class>_gNN_cNN"),
    ]:
        with pytest.raises(DataError, match=detail):
            read_boxes(save_matlab(tmp_path / "a.mat", *videos))
    savemat(tmp_path / "b.mat", {"other": 1})
    (tmp_path / "c.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(300))
    for name in ("b.mat", "c.mat"):
        with pytest.raises(DataError, match=f"{name}: expected a MATLAB 5 file with a struct 'annot'"):
            read_boxes(tmp_path / name)
    with pytest.raises(DataError, match=r"none.mat: no such file"):
        read_boxes(tmp_path / "none.mat")


def test_pickles_are_refused_unread(tmp_path):
    for name in ("pyannot.pkl", "pyannot_with_class_names.pkl", "UCF101_annots.gz"):
        with pytest.raises(DataError, match="pickles are not read, .* use finalAnnots.mat"):
            read_boxes(tmp_path / name)  # there is no such file: it is not even opened
    with pytest.raises(DataError, match="expected finalAnnots.mat or a folder of .xgtf files"):
        (tmp_path / "boxes.csv").touch()
        read_boxes(tmp_path / "boxes.csv")


def test_viper_boxes(tmp_path):
    """Frames count from 1, pixels from 0; a frame without a box has NaN; what belongs to another video is left out."""
    folder = write_viper(tmp_path, viper(person(bbox("3:4", 10, 20, 30, 40) + bbox("6:6", 0, 0, 5, 6))))
    (only,) = read_boxes(folder)["v_Basketball_g01_c01"]
    assert (only.start, only.stop) == (2, 6)
    np.testing.assert_array_equal(only.boxes[[0, 1, 3]], [[20, 10, 60, 40], [20, 10, 60, 40], [0, 0, 6, 5]])
    assert np.isnan(only.boxes[2]).all()


def test_viper_people_who_do_not_act(tmp_path):
    acts, looks_on = (person(bbox("1:2", x, 0, 5, 5), truth) for x, truth in ((1, "true"), (50, "false")))
    ball = person(bbox("1:2", 99, 0, 5, 5), name="BALL")
    (only,) = read_boxes(write_viper(tmp_path / "a", viper(looks_on + acts + ball)))["v_Basketball_g01_c01"]
    assert only.boxes[0].tolist() == [0, 1, 5, 6]
    both = read_boxes(write_viper(tmp_path / "b", viper(looks_on + looks_on)))["v_Basketball_g01_c01"]
    assert len(both) == 2  # nobody is marked
    old = person(bbox("1:2", 1, 0, 5, 5), "1", attribute="basketball_shooting")
    assert len(read_boxes(write_viper(tmp_path / "c", viper(old + looks_on)))["v_Basketball_g01_c01"]) == 1


def test_a_published_misspelling(tmp_path):
    folder = write_viper(tmp_path, viper(person(bbox("1:1", 0, 0, 5, 5))), "v_Basketball_g02_C01")
    assert list(read_boxes(folder)) == ["v_Basketball_g02_c01"]


def test_viper_files_that_are_not_as_published(tmp_path):
    entities = '<!DOCTYPE a [<!ENTITY b "bb">]>'
    for text, detail in [
        (viper("", entities), "XML with a DOCTYPE, or not in UTF-8, is not read"),
        (viper("")[:200], "not XML"),
        ("<viper/>", "expected ViPER's XML with a sourcefile"),
        (viper(person(bbox("4:3", 0, 0, 5, 5))), "expected framespan '<first>:<last>', got '4:3'"),
        (viper(person(bbox("0:3", 0, 0, 5, 5))), "expected framespan"),
        (viper(person(bbox("1:3", "left", 0, 5, 5))), "could not convert string to float: 'left'"),
        (viper(person('<data:bbox framespan="1:2" x="1"/>')), "float"),
    ]:
        with pytest.raises(DataError, match=f"v_Basketball_g01_c01.xgtf: .*{detail}"):
            read_boxes(write_viper(tmp_path, text))
    with pytest.raises(DataError, match="no <Class>/v_<Class>_gNN_cNN.xgtf in it"):
        read_boxes(tmp_path / "Basketball")


# Clips


def test_clips_know_boxes_and_event(root):
    """Of 12 frames 4 are taken, 0, 4, 7 and 11; somebody acts on 3 to 8. Boxes shrink from 240 x 320 to 24 x 64."""
    video = write_video(root / "UCF-101" / "Basketball" / "v_Basketball_g01_c01.avi", 12, (240, 320))
    write_video(video.with_name("v_Basketball_g08_c01.avi"), 5, (240, 320))
    save_matlab(
        root / "finalAnnots.mat",
        (
            "Basketball/v_Basketball_g01_c01",
            [tube(4, 9, [[11, 21, 100, 40]] * 6), tube(8, 8, [[101, 101, 20, 20]])],
        ),
    )
    dataset = make_dataset("ucf101", root, classes=["Basketball"], boxes="finalAnnots.mat")
    assert dataset.max_boxes == 2
    clip = dataset.read(dataset.samples("validation")[0], 4, (24, 64))
    assert frame_numbers(clip.frames) == [0, 4, 7, 11] and clip.decoded == 12
    assert clip.event.tolist() == [1, 3]
    first, second = [2, 2, 6, 22], [10, 20, 12, 24]
    np.testing.assert_allclose(clip.boxes[1], [first, [np.nan] * 4], atol=1e-5)
    np.testing.assert_allclose(clip.boxes[2], [first, second], atol=1e-5)
    assert np.isnan(clip.boxes[[0, 3]]).all()

    batches = load_dataset(dataset, "train", num_frames=3, size=(24, 32), batch_size=2, workers=1)
    batch = next(iter(batches.as_numpy_iterator()))  # through a decode process
    assert batch["id"].tolist() == [b"v_Basketball_g08_c01"] and batch["event"].tolist() == [[-1, -1]]
    assert batch["boxes"].shape == (1, 3, 2, 4) and np.isnan(batch["boxes"]).all()
