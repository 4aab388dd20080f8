"""A dataset's folder that is not there is named itself, and not a file that was looked for inside it."""

import pytest

from tfvid.core.errors import TfvidError
from tfvid.data import DATASETS
from tfvid.data.pipeline import make_dataset
from tfvid.data.settings import DataConfig

WITH_FOLDER = [name for name in DATASETS if name not in ("shapes", "windowed")]


@pytest.mark.parametrize("name", WITH_FOLDER)
def test_a_missing_root(name, tmp_path):
    with pytest.raises(TfvidError) as caught:
        make_dataset(name, tmp_path / "gone")
    assert str(caught.value) == f"{tmp_path / 'gone'}: no such folder"


@pytest.mark.parametrize("name", WITH_FOLDER)
def test_no_root_at_all(name):
    with pytest.raises(TfvidError) as caught:
        make_dataset(name)
    assert (
        str(caught.value)
        == f"dataset {name!r} needs the folder that it lies in: root=..., --root FOLDER or data.root=FOLDER"
    )


def test_missing_shards(tmp_path):
    with pytest.raises(TfvidError) as caught:
        make_dataset(DataConfig(records=str(tmp_path / "gone")))
    assert str(caught.value) == f"{tmp_path / 'gone'}: no such folder"


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(TfvidError, match="file: expected a folder, this is a file"):
        make_dataset("kth", tmp_path / "file")


def test_missing_annotations(tmp_path):
    with pytest.raises(TfvidError, match="gone: no such folder"):
        make_dataset("epic_kitchens", tmp_path, annotations="gone")
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Basketball\n")
    with pytest.raises(TfvidError, match="gone: no such file or folder"):
        make_dataset("ucf101", tmp_path, boxes="gone")
