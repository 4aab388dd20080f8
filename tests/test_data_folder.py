"""Class folders."""

import pytest

from tfvid.data.base import Sample
from tfvid.data.folder import ClassFolders
from tfvid.errors import DataError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_split_folders(tmp_path):
    touch(tmp_path, "train/b/2.mp4", "train/b/1.AVI", "train/a/x.webm", "validation/b/3.mkv", "train/b/notes.txt")
    dataset = ClassFolders(tmp_path)
    assert dataset.splits == ("train", "validation") and dataset.class_names == ("a", "b")
    assert dataset.flip_labels is None
    assert dataset.samples("train") == [
        Sample("train/a/x.webm", 0, str(tmp_path / "train/a/x.webm")),
        Sample("train/b/1.AVI", 1, str(tmp_path / "train/b/1.AVI")),
        Sample("train/b/2.mp4", 1, str(tmp_path / "train/b/2.mp4")),
    ]
    assert [sample.id for sample in dataset.samples("validation")] == ["validation/b/3.mkv"]


def test_a_share_of_each_class_is_held_out(tmp_path):
    touch(tmp_path, *(f"a/{i:02d}.mp4" for i in range(10)), *(f"b/{i:02d}.mp4" for i in range(5)), ".cache/x/y.mp4")
    dataset = ClassFolders(tmp_path, validation_share=0.2)
    assert dataset.class_names == ("a", "b")
    held_out = [sample.id for sample in dataset.samples("validation")]
    assert held_out == ["a/04.mp4", "a/09.mp4", "b/04.mp4"]
    kept = [sample.id for sample in dataset.samples("train")]
    assert len(kept) == 12 and not set(kept) & set(held_out)
    with pytest.raises(DataError, match="no video .* for 'validation'"):
        ClassFolders(tmp_path, validation_share=0).samples("validation")


def test_bad_folders(tmp_path):
    with pytest.raises(DataError, match="none: no such folder"):
        ClassFolders(tmp_path / "none")
    with pytest.raises(DataError, match="no class folders in it"):
        ClassFolders(tmp_path)
    touch(tmp_path, "a/notes.txt")
    with pytest.raises(DataError, match=r"no video \(.avi, .*\) in its class folders for 'train'"):
        ClassFolders(tmp_path).samples("train")
    with pytest.raises(DataError, match="unknown split 'tests'"):
        ClassFolders(tmp_path).samples("tests")
    with pytest.raises(DataError, match=r"validation_share must be in \[0, 1\), got 1"):
        ClassFolders(tmp_path, validation_share=1)
