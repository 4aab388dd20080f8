"""Videos listed in CSV files."""

import pytest

from tfvid.data.base import Sample
from tfvid.data.csv_list import CSVList
from tfvid.errors import DataError


def write(root, train: str, **others: str):
    for name, text in {"train": train, **others}.items():
        (root / f"{name}.csv").write_text(text)
    return root


def test_paths_and_labels(tmp_path):
    dataset = CSVList(write(tmp_path, "path,label\nx/a.mp4,run\nb.mp4,jump\n", validation="label,path\nrun,c.mp4\n"))
    assert dataset.splits == ("train", "validation") and dataset.class_names == ("jump", "run")
    assert dataset.samples("train") == [
        Sample("x/a.mp4", 1, str(tmp_path / "x/a.mp4")),
        Sample("b.mp4", 0, str(tmp_path / "b.mp4")),
    ]
    assert dataset.samples("validation") == [Sample("c.mp4", 1, str(tmp_path / "c.mp4"))]


def test_parts_of_videos(tmp_path):
    text = "path,label,start,stop,remark\r\na.mp4,run,5,20,x\r\na.mp4,run,20,,y\r\na.mp4,run,,,\r\n"
    assert CSVList(write(tmp_path, text)).samples("train") == [
        Sample("a.mp4#5-20", 0, str(tmp_path / "a.mp4"), 5, 20),
        Sample("a.mp4#20-", 0, str(tmp_path / "a.mp4"), 20, None),
        Sample("a.mp4", 0, str(tmp_path / "a.mp4"), 0, None),
    ]


def test_class_order(tmp_path):
    write(tmp_path, "path,label\na,10\nb,9\n")
    assert CSVList(tmp_path).class_names == ("9", "10")  # numbers are sorted as numbers
    dataset = CSVList(tmp_path, class_names=["10", "9", "8"])
    assert [sample.label for sample in dataset.samples("train")] == [0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no column 'path' in its first line \(\)"),
        ("file,label\na,b\n", r"no column 'path' in its first line \(file,label\)"),
        ("path,label\na\n", "line 2: expected 2 values"),
        ("path,label\na,b,c\n", "line 2: expected 2 values"),
        ("path,label\na,\n", "line 2: path or label is empty"),
        ("path,label\na,b\na,b\n", "line 3: a is there twice"),
        ("path,label\n../a,b\n", "line 2: path '../a' must be relative"),
        ("path,label\nx/../../a,b\n", "line 2: path 'x/../../a' must be relative"),
        ("path,label\n/etc/a,b\n", "line 2: path '/etc/a' must be relative"),
        ("path,label,start,stop\na,b,-1,5\n", "line 2: start must be a frame number, 0 or more, got '-1'"),
        ("path,label,start,stop\na,b,1,x\n", "line 2: stop must be a frame number, 0 or more, got 'x'"),
        ("path,label,start,stop\na,b,5,5\n", "line 2: stop must be above start, got 5 to 5"),
        ('path,label\n"a,b\n', "not a CSV file in UTF-8"),
    ],
)
def test_bad_lines(tmp_path, text, message):
    with pytest.raises(DataError, match=f"train.csv.*{message}") as caught:
        CSVList(write(tmp_path, text)).samples("train")
    assert "\n" not in str(caught.value)


def test_bad_names(tmp_path):
    with pytest.raises(DataError, match="expected train.csv, validation.csv or test.csv in it, found none"):
        CSVList(tmp_path)
    write(tmp_path, "path,label\na,runn\n")
    with pytest.raises(DataError, match="line 2: unknown label 'runn'; did you mean 'run'"):
        CSVList(tmp_path, class_names=["run", "jump"]).samples("train")
    with pytest.raises(DataError, match="unknown split 'test'"):
        CSVList(tmp_path).samples("test")
    (tmp_path / "train.csv").write_bytes(b"path,label\n\xff\xfe,x\n")
    with pytest.raises(DataError, match="not a CSV file in UTF-8"):
        CSVList(tmp_path)
