"""Class folders."""

import unicodedata
import warnings

import numpy as np
import pytest
from PIL import Image

from tfvid.core.errors import DataError
from tfvid.data.decode.clip import Sample
from tfvid.data.sources.folder import ClassFolders


@pytest.fixture(autouse=True)
def quiet():
    """A warning that a test does not expect is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def ids(dataset, split):
    return [sample.id for sample in dataset.samples(split)]


def test_split_folders(tmp_path):
    touch(tmp_path, "train/b/2.mp4", "train/b/1.AVI", "train/a/x.webm", "validation/b/3.mkv")
    dataset = ClassFolders(tmp_path)
    assert dataset.splits == ("train", "validation") and dataset.class_names == ("a", "b")
    assert dataset.flip_labels is None
    assert dataset.samples("train") == [
        Sample("train/a/x.webm", 0, str(tmp_path / "train/a/x.webm")),
        Sample("train/b/1.AVI", 1, str(tmp_path / "train/b/1.AVI")),
        Sample("train/b/2.mp4", 1, str(tmp_path / "train/b/2.mp4")),
    ]
    assert ids(dataset, "validation") == ["validation/b/3.mkv"]


def test_a_share_of_each_class_is_held_out(tmp_path):
    touch(tmp_path, *(f"a/{i:02d}.mp4" for i in range(10)), *(f"b/{i:02d}.mp4" for i in range(5)), ".cache/x/y.mp4")
    dataset = ClassFolders(tmp_path, validation_share=0.2)
    assert dataset.class_names == ("a", "b")
    held_out = ids(dataset, "validation")
    assert held_out == ["a/04.mp4", "a/09.mp4", "b/04.mp4"]
    kept = ids(dataset, "train")
    assert len(kept) == 12 and not set(kept) & set(held_out)
    with pytest.raises(DataError, match="no clip for 'validation' .validation_share 0 of each class"):
        ClassFolders(tmp_path, validation_share=0).samples("validation")


def test_bad_folders(tmp_path):
    with pytest.raises(DataError, match="none: no such folder"):
        ClassFolders(tmp_path / "none")
    with pytest.raises(DataError, match="no class folders in it$"):
        ClassFolders(tmp_path)
    touch(tmp_path, "x.mp4")
    with pytest.raises(
        DataError, match=r"no class folders in it; ignored files outside the class folders \(1\): x.mp4$"
    ):
        ClassFolders(tmp_path)
    touch(tmp_path, "a/notes.txt")
    with pytest.raises(DataError, match="no video and no folder of frames in its class folders; .*: a/notes.txt"):
        ClassFolders(tmp_path)
    (tmp_path / "x.mp4").rename(tmp_path / "a" / "x.mp4")
    (tmp_path / "a" / "notes.txt").unlink()
    with pytest.raises(DataError, match="unknown split 'tests'"):
        ClassFolders(tmp_path).samples("tests")
    with pytest.raises(DataError, match=r"validation_share must be in \[0, 1\), got 1"):
        ClassFolders(tmp_path, validation_share=1)


# --- What systems leave behind, and names in two normal forms.


def test_leftovers_are_no_classes_and_no_clips(tmp_path):
    touch(tmp_path, "run/a.mp4", "run/._a.mp4", "run/.DS_Store", "run/Thumbs.db", "run/desktop.ini", ".DS_Store")
    touch(tmp_path, "__MACOSX/run/._a.mp4", "__MACOSX/run/b.mp4", ".git/c.mp4", "run/__MACOSX/d.mp4", "run/.x/e.mp4")
    dataset = ClassFolders(tmp_path, validation_share=0)
    assert dataset.class_names == ("run",) and ids(dataset, "train") == ["run/a.mp4"]


def test_a_class_in_two_normal_forms_is_one_class(tmp_path):
    composed, decomposed = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    assert composed != decomposed
    touch(tmp_path, f"train/{decomposed}/1.mp4", f"validation/{composed}/2.mp4", "train/tea/3.mp4")
    dataset = ClassFolders(tmp_path)
    assert dataset.class_names == (composed, "tea")
    assert dataset.samples("train")[0] == Sample(
        f"train/{composed}/1.mp4", 0, str(tmp_path / "train" / decomposed / "1.mp4")
    )
    assert ids(dataset, "validation") == [f"validation/{composed}/2.mp4"]


def test_a_class_that_is_there_twice_in_one_split(tmp_path):
    composed, decomposed = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    touch(tmp_path, f"{composed}/1.mp4", f"{decomposed}/1.mp4", f"{composed}/2.mp4")
    samples = ClassFolders(tmp_path, validation_share=0).samples("train")
    assert [sample.id for sample in samples] == [f"{composed}/1.mp4", f"{composed}/1.mp4~2", f"{composed}/2.mp4"]
    assert {sample.path for sample in samples} == {
        str(tmp_path / folder / file)
        for folder, file in ((composed, "1.mp4"), (decomposed, "1.mp4"), (composed, "2.mp4"))
    }
    assert {sample.label for sample in samples} == {0}


# --- Which files are clips.


def test_videos_of_every_suffix_in_folders_of_any_depth(tmp_path):
    names = ("3gp", "3g2", "asf", "avi", "divx", "dv", "flv", "gif", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg")
    names += ("mts", "mxf", "ogg", "ogv", "ts", "vob", "webm", "WMV")
    touch(tmp_path, *(f"a/x{name}.{name}" for name in names), "a/z/deep/1.mp4", "a/z/2.mp4")
    assert ids(ClassFolders(tmp_path, validation_share=0), "train") == sorted(f"a/x{name}.{name}" for name in names) + [
        "a/z/2.mp4",
        "a/z/deep/1.mp4",
    ]


def test_what_is_passed_over_is_counted(tmp_path):
    touch(tmp_path, "a/1.mp4", "a/1.json", "a/2.txt", "a/b/3.srt", "a/notes", "a/1.jpg", "loose.mp4", "README.md")
    with pytest.warns(RuntimeWarning) as caught:
        ClassFolders(tmp_path)
    [message] = [str(warning.message) for warning in caught]
    assert "files that are not videos (4): a/1.json, a/2.txt, a/notes, ..." in message
    assert (
        "pictures beside videos (1): a/1.jpg" in message and "files outside the class folders (1): loose.mp4" in message
    )
    assert "\n" not in message and "README" not in message


def test_an_empty_class_folder_is_no_class(tmp_path):
    touch(tmp_path, "train/a/1.mp4", "validation/a/1.mp4")
    (tmp_path / "train" / "b").mkdir()
    with pytest.warns(RuntimeWarning, match=r"ignored class folders without a clip \(1\): b"):
        assert ClassFolders(tmp_path).class_names == ("a",)


def test_a_class_without_training_clips_is_named(tmp_path):
    touch(tmp_path, "train/jumping/1.mp4", "validation/jumping/2.mp4", "validation/jumpin/3.mp4")
    with pytest.warns(RuntimeWarning, match=r"classes with clips, but none to train on \(1\): jumpin"):
        assert ClassFolders(tmp_path).class_names == ("jumpin", "jumping")


def test_folders_of_frames(tmp_path):
    for name in ("a/1.mp4", *(f"a/clip/{i:05d}.jpg" for i in (1, 2)), *(f"b/person/c{i}/{i}.PNG" for i in (1, 2))):
        touch(tmp_path, name)
    touch(tmp_path, "b/person/c2/9.png")
    with pytest.warns(RuntimeWarning, match=r"ignored pictures that are not numbered frames \(1\): b/person/c1/1.PNG"):
        dataset = ClassFolders(tmp_path, validation_share=0)
    assert dataset.samples("train") == [
        Sample("a/1.mp4", 0, str(tmp_path / "a/1.mp4")),
        Sample("a/clip", 0, str(tmp_path / "a/clip")),
        Sample("b/person/c2", 1, str(tmp_path / "b/person/c2")),
    ]


def test_frames_of_a_class_folder_are_read(tmp_path):
    for i in range(4):
        touch(tmp_path, f"a/clip/frame_{i}.png")
        Image.fromarray(np.full((8, 12, 3), 60 * i, np.uint8)).save(tmp_path / f"a/clip/frame_{i}.png")
    dataset = ClassFolders(tmp_path, validation_share=0)
    clip = dataset.read(dataset.samples("train")[0], 2, (8, 12))
    assert clip.frames.mean((1, 2, 3)).tolist() == [0, 180] and clip.decoded == 4


def test_pictures_directly_in_class_folders_are_no_clips(tmp_path):
    """Photographs, or Jester's own layout, whose folders are clips and no classes."""
    touch(tmp_path, "cat/1.jpg", "cat/2.jpg", "dog/1.jpg")
    with pytest.raises(DataError, match=r"no video and no folder of frames .*: cat/1.jpg, cat/2.jpg, dog/1.jpg$"):
        ClassFolders(tmp_path)


def test_a_link_to_a_folder_above_ends(tmp_path):
    touch(tmp_path, "a/1.mp4")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    assert ids(ClassFolders(tmp_path, validation_share=0), "train") == ["a/1.mp4"]


# --- Splits.


@pytest.mark.parametrize("validation", ["val", "Valid", "dev", "VALIDATION"])
def test_spellings_of_splits(tmp_path, validation):
    touch(tmp_path, "Training/a/1.mp4", f"{validation}/a/2.mp4", "testing/a/3.mp4")
    dataset = ClassFolders(tmp_path)
    assert dataset.splits == ("train", "validation", "test")
    assert [ids(dataset, split) for split in dataset.splits] == [
        ["Training/a/1.mp4"],
        [f"{validation}/a/2.mp4"],
        ["testing/a/3.mp4"],
    ]


def test_names_of_splits_below_class_folders_give_a_warning(tmp_path):
    touch(tmp_path, "jump/train/1.mp4", "jump/test/2.mp4", "run/a/train/3.mp4", "run/b/4.mp4")
    touch(tmp_path, "run/dev/1.jpg", "run/dev/2.jpg")  # a clip that is called so
    with pytest.warns(RuntimeWarning, match=r"named like splits \(jump/test, jump/train, run/a/train\)"):
        ClassFolders(tmp_path, validation_share=0)
    touch(tmp_path / "right", "train/a/1.mp4", "val/a/1.mp4", "val/test/1.mp4", "train/test/x/1.mp4")
    ClassFolders(tmp_path / "right")  # a class may be called so: no warning


def test_a_folder_above_the_one_that_is_meant_gives_a_warning(tmp_path):
    touch(tmp_path / "a", "data/train/jump/1.mp4", "data/val/jump/2.mp4")
    with pytest.warns(RuntimeWarning, match=r"named like splits \(data/train, data/val\)"):
        ClassFolders(tmp_path / "a", validation_share=0)
    touch(tmp_path / "b", "data/jump/1.mp4", "data/run/1.mp4")
    with pytest.warns(RuntimeWarning, match=r"'data' is the only class, .*\(data/jump, data/run\); if those are the"):
        ClassFolders(tmp_path / "b", validation_share=0)


def test_two_folders_for_one_split_are_refused(tmp_path):
    touch(tmp_path, "train/a/1.mp4", "val/a/2.mp4", "valid/a/3.mp4")
    with pytest.raises(DataError, match="'val' and 'valid' both mean the validation split; keep one of them"):
        ClassFolders(tmp_path)


def test_what_lies_beside_split_folders(tmp_path):
    touch(tmp_path, "dev/a/1.mp4", "annotations/list.txt")
    assert ClassFolders(tmp_path).splits == ("validation",)
    touch(tmp_path, "ops/1.mp4")
    with pytest.raises(DataError, match="'dev' is the name of a split, but 'ops' beside it is not"):
        ClassFolders(tmp_path)
    touch(tmp_path, "train/a/2.mp4")
    with pytest.warns(RuntimeWarning, match=r"ignored clips outside the split folders \(1\): ops/1.mp4"):
        assert ClassFolders(tmp_path).class_names == ("a",)


UCF = [
    f"{name}/v_{name}_g{group:02d}_c{clip:02d}.avi" for name in "ab" for group in range(1, 11) for clip in range(1, 4)
]


def test_groups_stay_on_one_side(tmp_path):
    touch(tmp_path, *UCF)
    dataset = ClassFolders(tmp_path, groups=r"_(g\d+)_")
    groups = {split: {id.split("_")[2] for id in ids(dataset, split)} for split in dataset.splits}
    # Two of ten, spread over them: the third brings the share held out nearest to a fifth, then the eighth.
    assert groups["validation"] == {"g03", "g08"} and len(groups["train"]) == 8
    assert len(dataset.samples("validation")) == 12 and len(dataset.samples("train")) == 48
    of_prefix = ClassFolders(tmp_path, groups="prefix")
    sources = {split: {id[:-8] for id in ids(of_prefix, split)} for split in of_prefix.splits}
    assert not sources["train"] & sources["validation"] and len(sources["validation"]) == 4
    with pytest.raises(DataError, match=r"groups: '\(x\)' is not found in 'a/v_a_g01_c01.avi'"):
        ClassFolders(tmp_path, groups="(x)")


def test_names_that_look_grouped_give_a_warning(tmp_path):
    touch(tmp_path, *UCF)
    with pytest.warns(RuntimeWarning) as caught:
        by_place = ClassFolders(tmp_path)
    [message] = [str(warning.message) for warning in caught]
    assert "one source (a/v_a_g01_c01.avi, a/v_a_g01_c02.avi, ...)" in message
    assert "groups=prefix" in message and "\n" not in message
    assert ids(ClassFolders(tmp_path, groups="none"), "validation") == ids(by_place, "validation")
    ClassFolders(tmp_path, validation_share=0)  # nothing is held out: no warning


def test_a_group_in_two_split_folders_gives_a_warning(tmp_path):
    touch(tmp_path, "train/a/x_1.mp4", "val/a/x_2.mp4", "val/a/y_1.mp4")
    ClassFolders(tmp_path)
    with pytest.warns(RuntimeWarning, match=r"of the groups 1 of 2 have clips in more than one split \(a/x\)"):
        ClassFolders(tmp_path, groups="prefix")
