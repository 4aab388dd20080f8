"""Lists and annotations by strangers: no path leaves the dataset's folder, nothing is too large, nothing runs.

Files broken at random: test_hostile_files.
"""

import json
import os
import subprocess

import pytest
from broken_files import refused_or_read
from hostile_files import KINDS

from tfvid.core.errors import DataError
from tfvid.data.sources.csv_list import CSVList
from tfvid.data.sources.folder import ClassFolders

OUTSIDE = ("../../x", "/etc/passwd", "a/../../x", "..", ".", "", "a\0b")


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_of_a_csv_list_leaves_the_root(tmp_path, path):
    file, read = KINDS["CSV list"](tmp_path)
    file.write_text(f'path,label\n"{path}",run\n')
    assert "line 2: path" in refused_or_read(read, file)


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_of_one_csv_list_leaves_the_root(tmp_path, path):
    """Also where names are compared, to see which look like parts of one source."""
    file, read = KINDS["CSV list of all splits"](tmp_path)
    file.write_text(f'path,label\n"{path}",run\nv_1.mp4,run\nv_2.mp4,run\n')
    assert "line 2: path" in refused_or_read(read, file)


@pytest.mark.parametrize("id", [*OUTSIDE, "a/b", "a.b", "~root", "$HOME", "C:\\x", "-x", {"a": 1}, None, 1.5])
def test_no_id_of_something_leaves_the_root(tmp_path, id):
    file, read = KINDS["Something-something records"](tmp_path)
    file.write_text(json.dumps([{"id": id, "template": "Holding [something]"}]))
    assert "record 0" in refused_or_read(read, file)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("KTH 00sequences.txt", "person01_boxing_d1", "person01_../../x_d1"),
        ("KTH 00sequences.txt", "person01_boxing_d1", "person01_boxing/../../x_d1"),
        ("UCF101 trainlist01.txt", "Archery/v_Archery", "../v_Archery"),
        ("UCF101 trainlist01.txt", "Archery/v_Archery", "/etc/v_Archery"),
        ("UCF101 classInd.txt", "Archery", "../../Archery"),
        ("EPIC-KITCHENS EPIC_100_train.csv", "P01,P01_01", "P01,../../x"),
        ("EPIC-KITCHENS EPIC_100_train.csv", "P01_01_0", "../P01_01_0"),
    ],
)
def test_no_name_of_a_published_list_leaves_the_root(tmp_path, kind, good, bad):
    file, read = KINDS[kind](tmp_path)
    text = file.read_text()
    assert good in text
    file.write_text(text.replace(good, bad, 1))
    assert "line " in refused_or_read(read, file)


def test_a_link_is_followed(tmp_path):
    """Whoever put it on the disk wanted that: datasets are often folders of links. No text can make one."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.mp4").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "run").symlink_to(tmp_path / "elsewhere")
    [sample] = ClassFolders(tmp_path / "root", validation_share=0).samples("train")
    assert sample.id == "run/a.mp4"


def test_a_name_that_is_no_text_is_named(tmp_path):
    (tmp_path / "run").mkdir()
    with open(os.fsencode(tmp_path / "run") + b"/\xff.mp4", "wb"):
        pass
    with pytest.raises(DataError, match=r"run/\\udcff.mp4: its name is not valid UTF-8; rename it"):
        ClassFolders(tmp_path).samples("train")


@pytest.mark.parametrize(
    ("kind", "good", "bad", "said"),
    [
        ("CSV list", ",5,20,", f",{'9' * 5000},,", "start must be a frame number"),
        ("KTH 00sequences.txt", "1-95", f"1-{'9' * 5000}", "line 3: expected"),
        ("UCF101 classInd.txt", "1 Archery", f"{'9' * 5000} Archery", "line 1: expected"),
        ("EPIC-KITCHENS boxes.csv", "(54,", f"({'9' * 5000},", "line 2: expected"),
        ("EPIC-KITCHENS EPIC_100_video_info.csv", "25.0", "nan", "line 2: expected fps"),
        ("UCF101-24 ViPER XML", '<data:bbox framespan="1:9"', '<data:bbox framespan="1:9999999"', "expected framespan"),
        ("UCF101-24 ViPER XML", 'encoding="UTF-8"', 'encoding="nothing"', "unknown encoding"),
        ("UCF101-24 ViPER XML", "<viper", '<!DOCTYPE a [<!ENTITY b "c">]><viper', "DOCTYPE"),
        ("Something-something labels", '"1"', "Infinity", "expected {"),
        ("Something-something labels", '"1"', "9" * 5000, "not valid JSON"),
    ],
)
def test_numbers_and_entities_without_bound(tmp_path, kind, good, bad, said):
    file, read = KINDS[kind](tmp_path)
    text = file.read_text()
    assert good in text
    file.write_text(text.replace(good, bad, 1))
    assert said in refused_or_read(read, file)


def test_no_labels_at_all(tmp_path):
    file, read = KINDS["Something-something labels"](tmp_path)
    file.write_text("{}")
    assert "no labels in it" in refused_or_read(read, file)


def test_labels_equal_as_numbers_have_one_order(tmp_path):
    (tmp_path / "train.csv").write_text("path,label\na,1\nb,01\nc,001\nd,10\n")
    assert CSVList(tmp_path).class_names == ("001", "01", "1", "10")


def test_a_column_without_a_name_is_no_error(tmp_path):
    """As pandas writes an index."""
    (tmp_path / "train.csv").write_text(",path,label\n0,a.mp4,run\n")
    assert [sample.id for sample in CSVList(tmp_path).samples("train")] == ["a.mp4"]


def test_text_that_a_terminal_would_obey_is_written_out(tmp_path):
    file, read = KINDS["CSV list"](tmp_path)
    file.write_text('path,"la\nbel\x1b]0;title\x07\u202e"\na,b\n')
    said = refused_or_read(read, file)
    assert r"(path,la bel\x1b]0;title\x07\u202e)" in said


def test_a_matlab_reader_that_crashes(tmp_path, monkeypatch):
    file, read = KINDS["UCF101-24 MATLAB"](tmp_path)
    run, crash = subprocess.run, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr(
        "tfvid.data.sources.matlab.subprocess.run", lambda command, **options: run([command[0], "-c", crash], **options)
    )
    assert "reading it ended with SIGSEGV" in refused_or_read(read, file)


def test_a_matlab_file_that_makes_its_reader_run_past_its_memory(tmp_path):
    """What is found there decides whether SciPy crashes or raises an error."""
    file, read = KINDS["UCF101-24 MATLAB"](tmp_path)
    data = bytearray(file.read_bytes())
    data[648] ^= 64  # found by benchmarks/fuzz_files.py: one bit, and SciPy's reader runs past its memory
    file.write_bytes(data)
    assert "expected a MATLAB 5 file with a struct 'annot'" in refused_or_read(read, file)
