"""Videos listed in CSV files."""

import csv
import unicodedata
import warnings
from pathlib import Path

import pytest
from small_videos import frame_numbers, write_video

from tfvid.core.errors import DataError, VideoError
from tfvid.core.sampling import frame_range, frames_between
from tfvid.data.decode.clip import Sample
from tfvid.data.decode.sample import frame_times
from tfvid.data.decode.worker import DecodePool
from tfvid.data.sources.csv_list import CSVList


@pytest.fixture(autouse=True)
def quiet():
    """A warning that a test does not expect is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


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


def test_spaces_behind_commas(tmp_path):
    dataset = CSVList(write(tmp_path, 'path, label, x\na.mp4, "run, fast", 1\n'))
    assert dataset.class_names == ("run, fast",)


def test_two_spellings_of_a_path_are_one_video(tmp_path):
    (tmp_path / "clips.csv").write_text("path,label,start,stop\n./a.mp4,run,0,5\na.mp4,run,5,9\nb.mp4,run,,\n")
    dataset = CSVList(tmp_path, validation_share=0.4)
    paths = [{sample.path for sample in dataset.samples(split)} for split in dataset.splits]
    assert paths[0] and paths[1] and not paths[0] & paths[1]


def test_options_of_the_wrong_type(tmp_path):
    write(tmp_path, "path,label\na,run\n")
    with pytest.raises(DataError, match="class_names must be a list of the labels, got 'run'"):
        CSVList(tmp_path, class_names="run")
    with pytest.raises(DataError, match=r"validation_share must be in \[0, 1\), got '0.2'"):
        CSVList(tmp_path, validation_share="0.2")
    with pytest.raises(DataError, match="3: cannot be read"):
        CSVList(tmp_path, file=3)


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
        ("path;label\na;b\n", r"no column 'path'.*\(path;label\); its values must be separated by commas, not by ';'"),
        ("path,label,label\na,b,c\n", r"column 'label' is there twice in its first line \(path,label,label\)"),
        ("path,label,split\na,b,val\n", "line 2: its column split says 'val', but its file is for train"),
        ("path,label\na\n", "line 2: expected 2 values"),
        ("path,label\na,b,c\n", "line 2: expected 2 values"),
        ("path,label\na,\n", "line 2: path or label is empty"),
        ("path,label\na,b\na,b\n", "line 3: a is there twice"),
        ("path,label\na,b\n./a,b\n", "line 3: a is there twice"),
        ("path,label\n../a,b\n", "line 2: path '../a' must be relative"),
        ("path,label\nx/../../a,b\n", "line 2: path 'x/../../a' must be relative"),
        ("path,label\n/etc/a,b\n", "line 2: path '/etc/a' must be relative"),
        ("path,label,start,stop\na,b,-1,5\n", "line 2: start must be a frame number, 0 or more, got '-1'"),
        ("path,label,start,stop\na,b,1,x\n", "line 2: stop must be a frame number, 0 or more, got 'x'"),
        ("path,label,start,stop\na,b,5,5\n", "line 2: stop must be above start, got 5 to 5"),
        ("path,label,stop\na,b,0\n", "line 2: stop must be above start, got 0 to 0"),
        ("path,label,start_seconds\na,b,-1\n", "line 2: start_seconds must be seconds, 0 or more, got '-1'"),
        ("path,label,start_seconds\na,b,1e3\n", "line 2: start_seconds must be seconds, 0 or more, got '1e3'"),
        ("path,label,stop_seconds\na,b,nan\n", "line 2: stop_seconds must be seconds, 0 or more, got 'nan'"),
        ("path,label,start_seconds,stop_seconds\na,b,2.5,2.5\n", "line 2: stop must be above start, got 2.5 to 2.5"),
        ("path,label,start,stop_seconds\na,b,3,2\n", "line 2: give start and stop in frames or in seconds, not both"),
        ("path,label,start_seconds,fps\na,b,3,0\n", "line 2: fps must be above 0 and below 1000, got 0"),
        ("path,label,start_seconds,fps\na,b,3,x\n", "line 2: fps must be frames a second, 0 or more, got 'x'"),
        ('path,label\n"a,b\n', "not a CSV file in UTF-8"),
    ],
)
def test_bad_lines(tmp_path, text, message):
    with pytest.raises(DataError, match=f"train.csv.*{message}") as caught:
        CSVList(write(tmp_path, text)).samples("train")
    assert "\n" not in str(caught.value)


def test_bad_names(tmp_path):
    with pytest.raises(DataError, match="expected train.csv, validation.csv, test.csv or clips.csv in it, found none"):
        CSVList(tmp_path)
    write(tmp_path, "path,label\na,runn\n")
    with pytest.raises(DataError, match="line 2: unknown label 'runn'; did you mean 'run'"):
        CSVList(tmp_path, class_names=["run", "jump"]).samples("train")
    with pytest.raises(DataError, match="unknown split 'test'"):
        CSVList(tmp_path).samples("test")
    (tmp_path / "train.csv").write_bytes(b"path,label\n\xff\xfe,x\n")
    with pytest.raises(DataError, match="not a CSV file in UTF-8"):
        CSVList(tmp_path)


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(DataError, match="none: no such folder$"):
        CSVList(tmp_path / "none")


# --- Seconds.


def test_seconds_at_a_rate_that_the_list_gives(tmp_path):
    text = "path,label,start_seconds,stop_seconds,fps\na.mp4,run,1.5,3,25\na.mp4,run,0.28,,25\na.mp4,run,,2.01,29.97\n"
    path = str(tmp_path / "a.mp4")
    assert CSVList(write(tmp_path, text)).samples("train") == [
        Sample("a.mp4#1.5s-3s", 0, path, 37, 75),  # frame 37 is on screen from 1.48 to 1.52 s
        Sample("a.mp4#0.28s-", 0, path, 7, None),
        Sample("a.mp4#0s-2.01s", 0, path, 0, 61),
    ]


def test_frame_ranges():
    assert frame_range(0.28, 0.6, 25) == (7, 15)  # in binary, .28 * 25 is above 7 and .6 * 25 is 15
    assert frame_range(1, 1.001, 10) == (10, 11)  # one frame at least
    assert frame_range(0, None, 30) == (0, None)


def test_seconds_by_the_time_stamps_of_the_file(tmp_path):
    """`write_video` writes 25 frames a second; the decode process looks the times up."""
    write_video(tmp_path / "a.avi", 20)
    write(tmp_path, "path,label,start_seconds,stop_seconds\na.avi,run,0.2,0.48\na.avi,run,0.6,\nclip,run,1,\n")
    dataset = CSVList(tmp_path)
    first, second, folder = dataset.samples("train")
    assert first == Sample("a.avi#0.2s-0.48s", 0, str(tmp_path / "a.avi"), seconds=(0.2, 0.48))
    (tmp_path / "clip").mkdir()
    with DecodePool(dataset, 1) as pool:
        clip = pool.read(first, 4, (8, 12))
        assert frame_numbers(clip.frames) == [5, 7, 9, 11] and clip.decoded == 7
        assert frame_numbers(pool.read(second, 2, (8, 12)).frames) == [15, 19]
        with pytest.raises(
            VideoError, match="a folder of frames has no frame rate; give it in the list, in the column 'fps'"
        ):
            pool.read(folder, 2, (8, 12))
    assert frame_numbers(dataset.read(first, 4, (8, 12)).frames) == [5, 7, 9, 11]


def test_frames_between_times():
    times = [0.0, 0.1, 0.5, 0.6]  # the last frame is on screen to 0.7
    assert frames_between(0.1, 0.5, times) == (1, 2)
    assert frames_between(0.3, 0.55, times) == (1, 3)
    assert frames_between(0.65, None, times) == (3, None)
    assert frames_between(0.7, 9.0, times) == (4, 5)  # behind the end
    assert frames_between(0.5, 1.0, [0.0]) == (0, 1)


def test_seconds_of_a_variable_frame_rate(shared_data):
    """ffprobe's times, for files whose frames are not in the order or at the places that a rate would give."""
    fixtures = Path(__file__).parents[1] / "fixtures"
    assert frame_times(fixtures / "variable_rate.mp4", 9) == pytest.approx([0, 0.04, 0.08, 1.2, 1.24, 3.6, 3.64, 10])
    assert frame_times(shared_data / "hard_files" / "trim_editlist.mp4", 9) == pytest.approx(
        [i / 10 for i in range(17)]
    )
    assert len(frame_times(shared_data / "hard_files" / "opengop_midcut.ts", 9)) == 56


# --- Folders of frames, and names in two normal forms.


def test_folders_of_frames(tmp_path, shared_data):
    (tmp_path / "videos").symlink_to(shared_data / "jester_sample")
    dataset = CSVList(write(tmp_path, "path,label,start,stop\nvideos/thumb_down,Thumb Down,10,20\n"))
    [sample] = dataset.samples("train")
    assert sample.id == "videos/thumb_down#10-20"
    clip = dataset.read(sample, 10, (100, 176))
    whole = dataset.read(Sample("", 0, sample.path), 37, (100, 176))
    assert clip.decoded == 10 and (clip.frames == whole.frames[10:20]).all()


def test_two_normal_forms(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    (tmp_path / f"{decomposed}.mp4").touch()
    write(tmp_path, f"path,label\n{composed}.mp4,{decomposed}\n", validation=f"path,label\nb.mp4,{composed}\n")
    dataset = CSVList(tmp_path)
    assert dataset.class_names == (composed,)
    assert dataset.samples("train") == [Sample(f"{composed}.mp4", 0, str(tmp_path / f"{decomposed}.mp4"))]
    assert CSVList(tmp_path, class_names=[decomposed]).samples("validation")[0].label == 0
    write(tmp_path, f"path,label\n{composed}.mp4,a\n{decomposed}.mp4,a\n", validation="path,label\n")
    with pytest.raises(DataError, match="line 3: .* is there twice"):
        CSVList(tmp_path).samples("train")


# --- Splits and groups.


def test_spellings_of_splits(tmp_path):
    (tmp_path / "Training.CSV").write_text("path,label\na,x\n")
    (tmp_path / "dev.csv").write_text("path,label\nb,x\n")
    (tmp_path / "other.csv").write_text("anything")
    assert CSVList(tmp_path).splits == ("train", "validation")
    (tmp_path / "val.csv").write_text("path,label\nb,x\n")
    with pytest.raises(DataError, match="'dev.csv' and 'val.csv' both mean the validation split"):
        CSVList(tmp_path)


def test_one_list_with_a_column_for_the_split(tmp_path):
    (tmp_path / "clips.csv").write_text("path,label,split\na,x,Val\nb,x,train\nc,x,train\n")
    dataset = CSVList(tmp_path)
    assert dataset.splits == ("train", "validation")
    assert [sample.id for sample in dataset.samples("train")] == ["b", "c"]
    (tmp_path / "clips.csv").write_text("path,label,split\na,x,trian\n")
    with pytest.raises(DataError, match="clips.csv, line 2: unknown split 'trian'; did you mean 'train'"):
        CSVList(tmp_path)
    (tmp_path / "clips.csv").write_text("path,label,split\n")
    with pytest.raises(DataError, match="clips.csv: no clips in it"):
        CSVList(tmp_path)


def test_another_name_of_the_list_is_pointed_to(tmp_path):
    (tmp_path / "sources.csv").write_text("path,label\na,x\nb,x\n")
    with pytest.raises(DataError, match="clips.csv in it, found none; to read sources.csv, give it as file$"):
        CSVList(tmp_path)
    dataset = CSVList(tmp_path, file="sources.csv", validation_share=0.5)
    assert [len(dataset.samples(split)) for split in dataset.splits] == [1, 1]


def test_real_clips_by_source(shared_data):
    """Most sources give clips of both classes: no source may be on both sides, and each class keeps its share."""
    with open(shared_data / "fight_surv" / "sources.csv", newline="") as file:
        source = {row["path"]: row["source"] for row in csv.DictReader(file)}
    dataset = CSVList(shared_data / "fight_surv", file="sources.csv", groups="source", validation_share=0.2)
    samples = {split: dataset.samples(split) for split in ("train", "validation")}
    sources = {split: {source[sample.id] for sample in of} for split, of in samples.items()}
    assert not sources["train"] & sources["validation"] and sum(map(len, samples.values())) == 247
    for label in (0, 1):
        count = [sum(sample.label == label for sample in of) for of in samples.values()]
        assert abs(count[1] / sum(count) - 0.2) < 0.03


def test_parts_of_one_video_stay_together(tmp_path):
    rows = "".join(f"v{video}.mp4,run,{10 * part},{10 * part + 10}\n" for video in range(5) for part in range(4))
    (tmp_path / "clips.csv").write_text("path,label,start,stop\n" + rows)
    dataset = CSVList(tmp_path)
    assert [sample.id[:6] for sample in dataset.samples("validation")] == ["v2.mp4"] * 4
    assert len(dataset.samples("train")) == 16
    with pytest.raises(DataError, match=r"clips.csv: no column 'source' in its first line \(path,label,start,stop\)"):
        CSVList(tmp_path, groups="source")
    with pytest.raises(DataError, match=r"validation_share must be in \[0, 1\), got 1"):
        CSVList(tmp_path, validation_share=1)


def test_groups_in_two_splits_give_a_warning(tmp_path):
    write(tmp_path, "path,label,group\na,x,s1\nb,x,s2\n", val="path,label,group\nc,x,s1\n")
    with pytest.warns(RuntimeWarning, match=r"1 of 2 have clips in more than one split \(s1\)"):
        CSVList(tmp_path)
    write(tmp_path, "path,label,start\na,x,0\na,x,9\n", val="path,label,start\na,x,20\n")
    with pytest.warns(RuntimeWarning, match=r"1 of 1 have clips in more than one split \(a\)"):
        CSVList(tmp_path)


def test_names_that_look_grouped_give_a_warning(tmp_path):
    rows = "".join(f"v{video}_c{part}.mp4,run\n" for video in range(5) for part in range(4))
    (tmp_path / "clips.csv").write_text("path,label\n" + rows)
    with pytest.warns(RuntimeWarning, match=r"one source \(v0_c0.mp4, v0_c1.mp4, ...\).* 'group', or say groups=path$"):
        CSVList(tmp_path)
    CSVList(tmp_path, groups="path")


def test_a_label_without_training_clips_is_named(tmp_path):
    write(tmp_path, "path,label\na,run\n", validation="path,label\nb,runn\n")
    with pytest.warns(RuntimeWarning, match=r"classes with clips, but none to train on \(1\): runn"):
        CSVList(tmp_path)


def test_large_groups_miss_the_share(tmp_path):
    (tmp_path / "clips.csv").write_text("path,label,group\n" + "".join(f"{i},x,{i // 10}\n" for i in range(20)))
    said = "10 of 20 clips are held out for validation, although validation_share is 0.1"
    with pytest.warns(RuntimeWarning, match=said):
        CSVList(tmp_path, validation_share=0.1)


def test_a_list_that_is_not_read_is_said(tmp_path):
    (tmp_path / "train.csv").write_text("path,label\na.mp4,a\n", encoding="utf-8")
    (tmp_path / "clips.csv").write_text("path,label\nb.mp4,b\n", encoding="utf-8")
    with pytest.warns(RuntimeWarning, match=r"ignored clips\.csv, since train\.csv is there; file=clips\.csv reads it"):
        assert CSVList(tmp_path).class_names == ("a",)
