"""Explained clips for other viewers. Where a viewer's package is missing, its test is skipped; files are read back."""

import dataclasses
import importlib.util
import json
import re
import warnings

import numpy as np
import pytest
from toy_results import make

from tfvid.core.errors import ConfigError, DataError, TfvidError
from tfvid.core.optional import needed
from tfvid.data.decode.video import decode_clip
from tfvid.explain.base import Attribution
from tfvid.explain.masks.temporal_mask import TemporalMaskResult
from tfvid.export.viewers.clips import ViewedClip, explained_clips, in_time, strength
from tfvid.export.viewers.fiftyone_samples import field_name, to_fiftyone
from tfvid.export.viewers.rerun_recording import coloured, to_rerun
from tfvid.export.viewers.run_table import log_table, row
from tfvid.export.viewers.video_file import write_video
from tfvid.report.media import Films, write_media
from tfvid.results.result_store import ResultStore

NAMES = ("jump", "run", "wave")
MASK = np.float32([[0, 0.75, 1, 0.25, 0, 1], [0] * 6])
T, H, W = 6, 8, 10


def clips():
    """Two clips whose frame t is grey t / 10."""
    return np.broadcast_to(np.arange(T, dtype=np.float32)[None, :, None, None, None] / 10, (2, T, H, W, 3)).copy()


def results() -> dict:
    """A map that is 4 in the corner of frame 2, and a mask, for both clips."""
    attribution = np.zeros((2, T, H, W), np.float32)
    attribution[:, 2, 0, 0], attribution[:, 3, 1, 1] = 4, -1
    classes = {"target": np.int32([1, 2]), "predicted": np.int32([1, 0])}
    maps = Attribution(**classes, score=np.float32([0.5, 0.25]), attribution=attribution)
    fields = {field.name: np.zeros(2, np.float32) for field in dataclasses.fields(TemporalMaskResult)}
    known = {
        "mask": MASK,
        "kept_score": np.float32([np.nan, np.nan]),
        "original_score": np.float32([0.75, 0.5]),
        "true_score": np.float32([np.nan, np.nan]),
    }
    return {"gradient": maps, "temporal_mask": TemporalMaskResult(**fields | classes | known)}


def viewed() -> list[ViewedClip]:
    return list(explained_clips(results(), clips(), class_names=NAMES, names=["a b", "c"]))


def records(folder, models=("i3d",), drawn=True):
    """A folder of records of clips "a" and "b"; "b" has pictures only if `drawn`."""
    store, clip = ResultStore(folder), clips()[0]
    for model in models:
        for id in ("a", "b"):
            record = make(id, model, mask=MASK[0], size=(H, W), seconds=np.arange(T, dtype=np.float32) / 4)
            if drawn or id == "a":
                record = write_media(record, folder, clip, {"gradient": np.zeros((T, 2, 2))}, clip, None, Films(()))
            store.append([record])
    return folder


def test_a_clip_of_results():
    first, second = viewed()
    assert (first.name, first.target, first.predicted, first.label) == ("a b", "run", "run", "")
    assert (second.name, second.target, second.predicted) == ("c", "wave", "jump")
    assert first.frames.dtype == np.uint8 and first.frames[:, 0, 0, 0].tolist() == [0, 26, 51, 77, 102, 128]
    assert (
        first.scores == {"score by gradient": 0.5, "OS": 0.75, "FS": 0.0, "RS": 0.0} and first.objective == "necessary"
    )
    assert list(first.heat) == ["gradient"]
    heat = first.heat["gradient"]
    assert (heat[2, 0, 0], heat[3, 1, 1], heat.sum()) == (1.0, 0.25, 1.25)  # without sign, by the clip's largest
    assert first.windows() == [(1, 2), (5, 5)] and second.windows() == []
    assert [panel.title for panel in first.panels()] == ["clip", "gradient"]


def test_one_result_keeps_its_clips():
    (first, _) = explained_clips(results()["gradient"].of(clips()))
    assert (first.name, first.target, first.scores, first.mask) == ("clip 0", "class 1", {"score": 0.5}, None)
    assert list(first.heat) == ["attribution"]


def test_maps_of_records_are_laid_on_the_frames():
    maps = np.float32([1, -2, 3])[:, None, None]
    assert in_time(maps, 7)[:, 0, 0].tolist() == [1, 1, 1, -2, -2, 3, 3]
    assert strength(maps)[:, 0, 0].tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert strength(np.zeros((2, 1, 1))).tolist() == [[[0]], [[0]]]


def test_clips_of_a_folder_of_records(tmp_path):
    first, second = explained_clips(records(tmp_path))
    assert (first.name, second.name) == ("a", "b")
    assert (first.target, first.predicted, first.label) == ("right", "right", "left")
    assert first.scores == {"OS": 0.75, "FS": 0.25, "RS": 0.5, "CS": 0.125}
    assert first.seconds == [0, 0.25, 0.5, 0.75, 1, 1.25]
    assert first.heat["grad_cam"].shape == (T, 2, 3)  # the map of `make`, two steps of 2x3
    assert first.heat["grad_cam"][:, 1, 2].tolist() == pytest.approx([5 / 11] * 3 + [1] * 3)
    assert first.frames.mean((1, 2, 3)).tolist() == pytest.approx([0, 26, 51, 77, 102, 128], abs=3)  # WebP has a loss


def test_a_folder_with_two_models_names_both(tmp_path):
    assert [clip.name for clip in explained_clips(records(tmp_path, ("i3d", "lstm")))] == [
        *("i3d/a", "i3d/b", "lstm/a", "lstm/b")
    ]


def test_records_without_pictures_are_left_out_with_a_warning(tmp_path):
    with pytest.warns(RuntimeWarning, match="1 of 2 records have no pictures"):
        (only,) = explained_clips(str(records(tmp_path, drawn=False)))
    assert only.name == "a"
    ResultStore(tmp_path / "none").append([make("a")])
    with pytest.raises(DataError, match="none of the 1 records has pictures; run tfvid explain without --draw 0"):
        list(explained_clips(tmp_path / "none"))


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("folder", {"names": ["a"]}, "a folder of records has its own"),
        ({}, {}, "expected one result or more, got none"),
        ("results", {"clips": clips(), "names": ["a", "a"]}, "names all different"),
        ("results", {"clips": clips(), "names": ["a"]}, "one of each for every clip"),
        ("results", {}, "pass them as `clips`"),
    ],
)
def test_what_does_not_fit_is_refused(source, options, message):
    with pytest.raises(TfvidError, match=message):
        list(explained_clips(results() if source == "results" else source, **options))


@pytest.mark.parametrize("size", [(16, 24), (15, 23)])
def test_a_video_file_has_the_frames(tmp_path, size):
    frames = np.full((T, *size, 3), 1, np.uint8) * np.arange(0, 40 * T, 40, dtype=np.uint8)[:, None, None, None]
    file = write_video(tmp_path / "new" / "x.mp4", frames, 12.5)
    read = decode_clip(file, T, size)
    assert (read.decoded, read.damage) == (T, "")
    assert read.frames.mean((1, 2, 3)).tolist() == pytest.approx(np.arange(0, 40 * T, 40).tolist(), abs=4)
    assert [path.name for path in file.parent.iterdir()] == ["x.mp4"]


def test_a_missing_package_is_one_line():
    with pytest.raises(ConfigError, match="^no_such_package is needed: pip install 'tfvid\\[viewer\\]' "):
        needed("no_such_package", "viewer")


def test_names_of_fields():
    assert field_name("my_file.py:Bright") == "my_file_py_Bright" and field_name("grad_cam") == "grad_cam"


@pytest.fixture
def fiftyone(monkeypatch):
    monkeypatch.setenv("FIFTYONE_DISABLE_SERVICES", "1")  # samples need no database
    monkeypatch.setenv("FIFTYONE_DO_NOT_TRACK", "true")
    return pytest.importorskip("fiftyone", reason="FiftyOne is not installed: pip install 'tfvid[fiftyone]'")


def test_fiftyone_samples(fiftyone, tmp_path):
    first, second = to_fiftyone(results(), tmp_path, clips(), class_names=NAMES, names=["a b", "c"])
    assert first.media_type == "video" and decode_clip(first.filepath, T, (H, W)).decoded == T
    assert re.fullmatch(r"a-b-\w+\.mp4", first.filename) and second.filename == "c.mp4"
    assert (first.explained.label, second.predicted.label) == ("run", "jump")
    windows = [(one.label, one.support, one.confidence) for one in first.mask.detections]
    assert windows == [("run", [2, 3], 0.875), ("run", [6, 6], 1.0)] and second.mask.detections == []
    assert len(first.frames) == T and first.frames[3].mask_value == 1.0
    heat = first.frames[3].gradient
    assert isinstance(heat, fiftyone.Heatmap) and heat.map.shape == (H, W) and heat.map[0, 0] == 1
    again = fiftyone.Sample.from_dict(first.to_dict())
    assert again.mask.detections[0].support == [2, 3] and again.scores["OS"] == 0.75


def test_heat_as_a_picture():
    picture = coloured(np.float32([[0, 1]]), (2, 2), "inferno")
    assert picture.shape == (2, 2, 4) and picture[0, :, 3].tolist() == [0, 191]  # 0.75 * 255
    assert picture[0, 0, :3].tolist() == [4, 0, 0] or picture[0, 0, :3].max() < 10  # inferno begins with black


def test_a_rerun_recording(tmp_path):
    pytest.importorskip("rerun", reason="Rerun is not installed: pip install 'tfvid[rerun]'")
    file = to_rerun(results(), tmp_path / "x.rrd", clips(), class_names=NAMES, names=["a", "c"])
    assert [path.name for path in tmp_path.iterdir()] == ["x.rrd"]
    with pytest.raises(TfvidError, match="unknown colormap 'infermo'; did you mean 'inferno'"):
        to_rerun(results(), tmp_path / "y.rrd", clips(), colormap="infermo")
    rows = recorded(file)
    assert rows["/a/mask"] == MASK[0].tolist() and rows["/c/mask"] == [0] * T
    assert rows["/a/heat/gradient"] == pytest.approx([0, 0, 1 / 80, 0.25 / 80, 0, 0])
    assert {"/a/about", "/a/frames", "/a/frames/gradient"} <= rows.keys()


def recorded(file) -> dict[str, list]:
    """The numbers of a recording by entity, in the order of the frames; of other entities the number of rows."""
    from rerun.chunk import RrdReader

    found: dict[str, list] = {}
    for chunk in RrdReader(str(file)).stream().to_chunks():
        batch = chunk.to_record_batch()
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        numbers = next((values.to_pylist() for name, values in columns.items() if "calars" in name), None)
        frames = columns["frame"].to_pylist() if "frame" in columns else [-1] * batch.num_rows
        rows = [None] * batch.num_rows if numbers is None else [number for (number,) in numbers]
        found.setdefault(chunk.entity_path, []).extend(zip(frames, rows, strict=True))
    return {entity: [number for _, number in sorted(rows, key=lambda row: row[0])] for entity, rows in found.items()}


def test_a_run_of_another_package_is_refused():
    with pytest.raises(TfvidError, match="run: expected one of wandb.init or trackio.init, got builtins.object"):
        log_table(object(), results(), clips())


def test_the_row_of_a_clip():
    assert row(viewed()[0]) == {
        **{"clip": "a b", "explained": "run", "predicted": "run", "score by gradient": 0.5},
        **{"OS": 0.75, "FS": 0.0, "RS": 0.0, "mask length": 3, "necessary frames": "2-3, 6-6"},
    }


def test_a_table_of_wandb(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="Weights & Biases is not installed: pip install 'tfvid[wandb]'")
    for name, value in {"SILENT": "true", "DATA_DIR": tmp_path / "data", "CACHE_DIR": tmp_path / "cache"}.items():
        monkeypatch.setenv(f"WANDB_{name}", str(value))
    run = wandb.init(project="tfvid", mode="offline", dir=tmp_path)
    log_table(run, results(), clips(), class_names=NAMES, names=["a", "c"])
    run.finish()
    texts = [file.read_bytes() for file in (tmp_path / "data").rglob("tmp*")]  # what `wandb sync` would send
    (table,) = {text for text in texts if text.startswith(b'{"_type": "table"')}
    columns, rows = (json.loads(table)[key] for key in ("columns", "data"))
    assert columns == [
        *("clip", "explained", "predicted", "score by gradient", "OS", "FS", "RS"),
        *("mask length", "necessary frames", "frames"),
    ]
    assert [line[:3] + line[7:9] for line in rows] == [["a", "run", "run", 3, "2-3, 6-6"], ["c", "wave", "jump", 0, ""]]
    assert [line[-1]["_type"] for line in rows] == ["image-file"] * 2 and rows[0][-1]["format"] == "png"


def test_a_table_of_trackio(tmp_path, monkeypatch):
    if importlib.util.find_spec("trackio") is None:
        pytest.skip("trackio is not installed: pip install 'tfvid[trackio]'")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))  # read when it is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import trackio
    run = trackio.init(project="tfvid", name="run", embed=False)
    log_table(run, results(), clips(), class_names=NAMES, names=["a", "c"])
    trackio.finish()
    from trackio.sqlite_storage import SQLiteStorage

    (logged,) = SQLiteStorage.get_logs("tfvid", "run")
    first, second = logged["explanations"]["_value"]
    assert (first["clip"], first["OS"], second["necessary frames"]) == ("a", 0.75, "")
    assert all((tmp_path / "media" / one["frames"]["file_path"]).is_file() for one in (first, second))
