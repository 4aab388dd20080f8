"""Something-something v2: both layouts, and records that are not what they should be."""

import json

import pytest
from small_videos import frame_numbers, write_frames

from tfvid.core.errors import DataError
from tfvid.data.decode.clip import Sample
from tfvid.data.sources.something import SomethingSomething, swap_sides

LABELS = {
    "Pushing something from left to right": "1",
    "Holding something": "0",
    "Pushing something from right to left": "2",
}
RECORDS = [
    {"id": "12", "label": "holding a pen", "template": "Holding [something]", "placeholders": ["a pen"]},
    {"id": "7", "label": "pushing a pen", "template": "Pushing [something] from left to right", "placeholders": []},
]


def make(root, layout="something-something-v2-{}.json", labels=LABELS, **splits):
    splits = splits or {"train": RECORDS, "validation": RECORDS[:1], "test": [{"id": "99"}]}
    for name, value in {"labels": labels, **splits}.items():
        file = root / layout.format(name)
        file.parent.mkdir(exist_ok=True)
        file.write_text(value if isinstance(value, str) else json.dumps(value))
    return root


@pytest.mark.parametrize("layout", ["something-something-v2-{}.json", "labels/{}.json"])
def test_both_layouts(tmp_path, layout):
    dataset = SomethingSomething(make(tmp_path, layout))
    assert dataset.class_names == (
        "Holding something",
        "Pushing something from left to right",
        "Pushing something from right to left",
    )
    assert dataset.splits == ("train", "validation", "test")
    videos = tmp_path / "20bn-something-something-v2"
    assert dataset.samples("train") == [Sample("12", 0, f"{videos}/12.webm"), Sample("7", 1, f"{videos}/7.webm")]
    assert dataset.samples("test") == [Sample("99", -1, f"{videos}/99.webm")]
    assert dataset.flip_labels == {1: 2, 2: 1}
    assert dataset.reverse_labels is None


def test_folders_of_frames(tmp_path):
    """A folder is the clip where there is no video file; with both, the file is."""
    root = make(tmp_path, train=[*RECORDS, {"id": "9", "template": "Holding [something]"}])
    videos, frames = root / "20bn-something-something-v2", root / "20bn-something-something-v2-frames"
    for folder in (videos / "12", frames / "7", frames / "9"):
        write_frames(folder, range(1, 4))
    (videos / "9.webm").touch()
    dataset = SomethingSomething(root)
    samples = dataset.samples("train")
    assert [sample.path for sample in samples] == [f"{videos}/12", f"{frames}/7", f"{videos}/9.webm"]
    assert frame_numbers(dataset.read(samples[1], 3, (32, 48)).frames) == [1, 2, 3]


def test_the_published_labels(shared_data):
    dataset = SomethingSomething(shared_data / "ssv2_sample")
    assert len(dataset.class_names) == 174
    assert dataset.splits == ("validation",)
    samples = dataset.samples("validation")
    assert len(samples) == 21
    assert dataset.class_names[samples[0].label] == "Burying something in something"
    names = dataset.class_names
    assert {names[a]: names[b] for a, b in dataset.flip_labels.items()} == {
        "Pulling something from left to right": "Pulling something from right to left",
        "Pulling something from right to left": "Pulling something from left to right",
        "Pushing something from left to right": "Pushing something from right to left",
        "Pushing something from right to left": "Pushing something from left to right",
        "Turning the camera left while filming something": "Turning the camera right while filming something",
        "Turning the camera right while filming something": "Turning the camera left while filming something",
    }


def test_no_mirror_where_a_side_has_no_counterpart(tmp_path):
    labels = {"Pushing something from left to right": "0", "Holding something": "1"}
    assert SomethingSomething(make(tmp_path, labels=labels)).flip_labels is None


def test_swap_sides():
    assert swap_sides("from left to right") == "from right to left"
    assert swap_sides("put upright and pulling it right out") == "put upright and pulling it right out"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"template": "Holding [something]"}, "record 1: no field 'id', it has template"),
        ({"id": "5"}, "record 1: no field 'template', it has id"),
        ({"id": "5", "template": None}, "record 1: no field 'template'"),
        ("5", "record 1: expected an object, got a string"),
        ({"id": "5", "template": "Eating [something]"}, "record 1: unknown label 'Eating something'"),
        ({"id": "../../5", "template": "Holding [something]"}, "record 1: id '../../5' is not a plain name"),
        ({"id": "/etc/5", "template": "Holding [something]"}, "record 1: id '/etc/5' is not a plain name"),
        ({"id": "..", "template": "Holding [something]"}, "record 1: id '..' is not a plain name"),
        ({"id": "a\n", "template": "Holding [something]"}, r"record 1: id 'a\\n' is not a plain name"),
        ({"id": "12", "template": "Holding [something]"}, "record 1: id '12' is there twice"),
    ],
)
def test_bad_records(tmp_path, record, message):
    dataset = SomethingSomething(make(tmp_path, train=[RECORDS[0], record]))
    with pytest.raises(DataError, match=f"something-something-v2-train.json: {message}") as caught:
        dataset.samples("train")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("{", "labels.json: not valid JSON"),
        ("[1, 2]", "labels.json: expected"),
        ({"a": "x"}, "labels.json: expected"),
        ({"a": "0", "b": "2"}, "labels.json: the indices are not 0 to 1, each once"),
        ({"a": "0", "b": "0"}, "labels.json: the indices are not 0 to 1, each once"),
    ],
)
def test_bad_labels(tmp_path, labels, message):
    with pytest.raises(DataError, match=message):
        SomethingSomething(make(tmp_path, labels=labels))


def test_bad_files(tmp_path):
    with pytest.raises(
        DataError, match="something-something-v2-labels.json or labels/labels.json in it, found neither"
    ):
        SomethingSomething(tmp_path)
    dataset = SomethingSomething(make(tmp_path, train='{"id": 1}', validation=100_000 * "["))
    with pytest.raises(DataError, match="train.json: expected a list of records, got an object"):
        dataset.samples("train")
    with pytest.raises(DataError, match="validation.json: not valid JSON"):
        dataset.samples("validation")
    with pytest.raises(DataError, match="unknown split 'trian'; did you mean 'train'"):
        dataset.samples("trian")
