"""Folders that are whole or not there."""

import os

import pytest

from tfvid.core.files import replacing_folder


def write(folder, text):
    with replacing_folder(folder) as temporary:
        temporary.mkdir()
        (temporary / "file").write_text(text)


def test_a_folder_takes_the_place_of_another(tmp_path):
    folder = tmp_path / "new" / "folder"
    for text in ("one", "two"):
        write(folder, text)
        assert (folder / "file").read_text() == text
    assert list(folder.parent.iterdir()) == [folder]


def test_an_error_leaves_the_older_folder(tmp_path):
    folder = tmp_path / "folder"
    write(folder, "one")
    with pytest.raises(RuntimeError), replacing_folder(folder) as temporary:
        temporary.mkdir()
        raise RuntimeError
    assert (folder / "file").read_text() == "one"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_move_that_fails_leaves_the_older_folder(tmp_path, monkeypatch):
    folder, move = tmp_path / "folder", os.replace
    write(folder, "one")

    def fails_once(source, target):
        if source.name == ".folder.new":
            monkeypatch.setattr(os, "replace", move)
            raise OSError("no")
        move(source, target)

    monkeypatch.setattr(os, "replace", fails_once)
    with pytest.raises(OSError, match="no"):
        write(folder, "two")
    assert (folder / "file").read_text() == "one"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_killed_process_is_cleared_up_after(tmp_path):
    """Killed between the two moves, the older folder is put back before anything is written."""
    folder = tmp_path / "folder"
    write(folder, "one")
    os.replace(folder, tmp_path / ".folder.old")
    (tmp_path / ".folder.new").mkdir()
    with pytest.raises(RuntimeError), replacing_folder(folder):
        assert (folder / "file").read_text() == "one"
        raise RuntimeError
    assert list(tmp_path.iterdir()) == [folder]
