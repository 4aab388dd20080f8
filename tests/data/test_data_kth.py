"""KTH: the published list of sequences, and lines that are not as published."""

import pytest

from tfvid.core.errors import DataError
from tfvid.data.decode.clip import Sample
from tfvid.data.sources.kth import KTH, read_sequences


def write(root, text: str):
    (root / "00sequences.txt").write_bytes(text.encode())
    return root


def test_the_published_list(shared_data):
    dataset = KTH(shared_data / "kth_sample")
    train, validation = dataset.samples("train"), dataset.samples("validation")
    assert len(train) == 1528 and len(validation) == 863
    assert len({sample.id for sample in train + validation}) == 2391
    assert train[1] == Sample(
        "person01_boxing_d1_2", 0, str(dataset.root / "boxing" / "person01_boxing_d1_uncomp.avi"), 95, 185
    )
    assert dataset.class_names == ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
    assert dataset.class_names[validation[-1].label] == "walking"
    assert dataset.flip_labels == {}


def test_whole_files(shared_data):
    dataset = KTH(shared_data / "kth_sample", whole_files=True)
    assert dataset.samples("train") == []
    found = dataset.samples("validation")
    assert [sample.id for sample in found] == [
        "person17_boxing_d2",
        "person17_handclapping_d1",
        "person18_handclapping_d3",
        "person25_jogging_d4",
        "person24_running_d1",
        "person25_running_d3",
    ]
    for sample in found:
        clip = dataset.read(sample, 32, (120, 160))
        assert clip.decoded == 32 and sample.start == 0 and sample.stop is None
        assert (clip.frames[..., 0] == clip.frames[..., 1]).mean() > 0.9  # grey, in three channels


def test_subjects(tmp_path):
    text = "".join(f"person{i:02d}_walking_d1\tframes\t1-9\r\n" for i in range(1, 26))
    dataset = KTH(write(tmp_path, text), train_subjects=[1, 3], validation_subjects=[2])
    assert [sample.id for sample in dataset.samples("train")] == ["person01_walking_d1_1", "person03_walking_d1_1"]
    assert [sample.id for sample in dataset.samples("validation")] == ["person02_walking_d1_1"]
    with pytest.raises(DataError, match=r"subjects \[3\] are in both splits"):
        KTH(tmp_path, train_subjects=[1, 3], validation_subjects=[2, 3])


def test_prose_blank_lines_and_missing(tmp_path):
    text = (
        "The person in each video does one of six actions.\r\n\r\nFrames are counted from 1:\r\n"
        "person01_boxing_d1\t\tframes\t1-95, 96-185\r\n\r\nperson13_handclapping_d3\t*missing*\r\n"
        "person01_walking_d4  frames  5-5\r\n"
    )
    assert read_sequences(write(tmp_path, text) / "00sequences.txt") == {
        "person01_boxing_d1": [(0, 95), (95, 185)],
        "person13_handclapping_d3": [],
        "person01_walking_d4": [(4, 5)],
    }


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("person01_boxing_d1", "got 'person01_boxing_d1'"),
        ("person01_boxing_d1 frames", "got '' for a range"),
        ("person01_boxing_d1 frames 1-95, 96", "got '96' for a range"),
        ("person01_boxing_d1 frames 1-95,", "got '' for a range"),
        ("person01_boxing_d1 frames 95-1", "95-1 is not a range"),
        ("person01_boxing_d1 frames 0-9", "0-9 is not a range"),
        ("person01_boxing_d1 pages 1-9", "got 'pages 1-9'"),
        ("person01_dancing_d1 frames 1-9", "unknown action 'dancing'; did you mean 'handclapping'"),
        ("person01_boxin_d1 frames 1-9", "unknown action 'boxin'; did you mean 'boxing'"),
        ("person1_boxing_d1 frames 1-9", "got 'person1_boxing_d1'"),
        ("person01_../../x_d1 frames 1-9", "got 'person01_../../x_d1'"),
        ("something else", "got 'something'"),
        ("person02_boxing_d1 frames 1-9", "person02_boxing_d1 is there twice"),
    ],
)
def test_malformed_lines(tmp_path, line, detail):
    write(tmp_path, f"prose\r\nperson02_boxing_d1\tframes\t1-95\r\n{line}\r\n")
    with pytest.raises(DataError) as caught:
        KTH(tmp_path).samples("train")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/00sequences.txt, line 3: expected 'person<NN>_<action>_d<K>  frames")
    assert detail in message and "\n" not in message


def test_bad_folders(tmp_path):
    with pytest.raises(DataError, match="none: no such folder"):
        KTH(tmp_path / "none")
    with pytest.raises(DataError, match="00sequences.txt: cannot be read"):
        KTH(tmp_path).samples("train")
    with pytest.raises(DataError, match="00sequences.txt: no line of the form"):
        KTH(write(tmp_path, "only prose\r\n")).samples("train")
    with pytest.raises(DataError, match="no <action>/person<NN>_<action>_d<K>_uncomp.avi in it"):
        KTH(tmp_path, whole_files=True).samples("train")
    with pytest.raises(DataError, match="unknown split 'test'"):
        KTH(tmp_path).samples("test")
    (tmp_path / "boxing").mkdir()
    (tmp_path / "boxing" / "person01_walking_d1_uncomp.avi").touch()
    with pytest.raises(DataError, match="person01_walking_d1_uncomp.avi: expected <action>/person"):
        KTH(tmp_path, whole_files=True).samples("train")
