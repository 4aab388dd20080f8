"""scripts/explain.py from end to end, with real (tiny, untrained) models on drawn clips and video files."""

import json
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from forks import SCRIPT
from small_videos import damaged_dataset

import tfvid
from tfvid.cli import explain as explain_command
from tfvid.cli.explain import main
from tfvid.core.errors import ConfigError, DataError, ModelError, StillClipWarning, TfvidError
from tfvid.data.base import VideoDataset
from tfvid.data.choose import choose
from tfvid.data.decode.clip import Sample
from tfvid.data.sources.shapes import MovingShapes
from tfvid.data.sources.video_files import VideoFiles
from tfvid.experiments import explanation_writer
from tfvid.experiments.explain_clips import explain_clips
from tfvid.experiments.explanation_records import overlaps
from tfvid.experiments.explanation_summary import finish, summary
from tfvid.explain.cam.find_layer import LAST_MAP
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.models.card import ModelCard
from tfvid.models.conv_lstm import ConvLSTM
from tfvid.models.loading import load_model
from tfvid.network.compiled import Compiled
from tfvid.report.media import Films
from tfvid.report.overlay import display_size
from tfvid.report.reel import read_reel
from tfvid.results.result_store import ResultStore, read_results

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("Moving something up", "Moving something down", "Something appearing")
QUICK = ["mask.method=gradient", "mask.iterations=2"]


def convolution():
    return keras.Sequential(
        [
            keras.Input((8, 32, 32, 3)),
            keras.layers.Conv3D(4, 3, strides=2, padding="same", activation="relu", name="features"),
            keras.layers.MaxPooling3D((1, 2, 2)),
            keras.layers.GlobalAveragePooling3D(),
            keras.layers.Dense(3),
        ]
    )


NOTE = "Trained on nothing. Its answers have no meaning."


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Three small models, each in a folder with its card; "cnn" and "cnn_2" are as cheap to trace as can be."""
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("models")
    built = {"cnn": convolution(), "cnn_2": convolution(), "c_lstm": ConvLSTM(3, 8, (32, 32), blocks=2, filters=2)}
    for name, model in built.items():
        (folder / name).mkdir()
        model.save(folder / name / "model.keras")
        card = ModelCard(name, CLASSES, 8, (32, 32), "shapes", note=NOTE if name == "c_lstm" else "")
        (folder / name / "card.json").write_text(card.to_json(), encoding="utf-8")
    return {name: folder / name for name in built}


@pytest.fixture(scope="module")
def clips():
    """Four drawn clips, as a batch of `load_dataset`."""
    dataset = MovingShapes(classes=CLASSES)
    samples = dataset.samples("validation")[:4]
    read = [dataset.read(sample, 8, (32, 32)) for sample in samples]
    return {
        "clip": np.stack([clip.frames for clip in read]).astype(np.float32) / 255,
        "label": np.array([sample.label for sample in samples], np.int32),
        "id": np.array([sample.id.encode() for sample in samples]),
        "event": np.stack([clip.event for clip in read]),
    }


def video(path: Path, frames: int = 12) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (48, 40))
    rng = np.random.default_rng(frames)
    for _ in range(frames):
        writer.write(rng.integers(0, 256, (40, 48, 3), np.uint8))
    writer.release()
    return path


def explain(out: Path, models: list[Path], *arguments: str):
    main([*(word for model in models for word in ("--model", str(model))), "--out", str(out), *QUICK, *arguments])


def shapes(clips: int = 3) -> list[str]:
    return ["--dataset", "shapes", "--limit", str(clips), "--classes", *CLASSES]


def test_two_models_on_drawn_clips(models, tmp_path, capsys):
    explain(tmp_path, [models["cnn"], models["c_lstm"]], *shapes())
    results = read_results(tmp_path)
    assert [(r.model, r.label_name) for r in results] == [(m, name) for m in ("cnn", "c_lstm") for name in CLASSES]
    for result in results:
        assert result.mask.shape == (8,) and result.size == (32, 32) and result.iterations == 2
        assert result.loss == pytest.approx(result.length_term + result.variation_term + result.score_term, abs=1e-5)
        assert result.event[0] >= 1 and 0 <= result.temporal_iou <= 1
        assert result.correct == (result.predicted_name == result.label_name)
        layer = {"cnn": "features", "c_lstm": "conv_lstm_2"}[result.model]
        assert result.map_method == "grad_cam" and result.map_layer == f"{layer}: {LAST_MAP}"
        for file in (result.gif, result.mp4, result.webp, result.reversed, result.sheet, result.reel):
            assert (tmp_path / file).stat().st_size > 0
    assert pq.read_table(tmp_path / "results.parquet").num_rows == 6
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count(f"Grad-CAM of layer features: {LAST_MAP}.") == 6  # in the list and in the data of the script
    assert page.count('class="card"') == 3 and page.count('class="film"') == 6
    printed = capsys.readouterr().out
    assert "cnn: 3 clips, accuracy " in printed and "temporal IoU" in printed
    assert f"\nc_lstm: {NOTE}\n" in printed and "\ncnn: {" not in printed
    assert page.count(NOTE) == 1 and f"<b>c_lstm</b>: {NOTE}" in page
    assert printed.rstrip().endswith(f"open in a browser: {tmp_path / 'index.html'}")


def test_several_methods_of_maps(models, tmp_path):
    methods = ["--method", "grad_cam", "--method", "occlusion", "--method", "temporal_mask"]
    given = [*shapes(1), *methods, "occlusion.unit=frame", "--films", "webp"]
    explain(tmp_path, [models["cnn"]], *given)
    (result,) = read_results(tmp_path)
    assert result.methods == ("grad_cam", "occlusion") and result.layers == (f"features: {LAST_MAP}", "")
    assert result.map.shape == (4, 16, 16) and [one.shape for one in result.more_maps] == [(8, 32, 32)]
    assert np.ptp(result.more_maps[0], axis=(1, 2)).max() == 0  # each frame as a whole, as the option says
    assert result.reel_panels == ("clip", "heat", "heat", "perturbed")
    assert json.loads(result.settings)["maps"] == "grad_cam, occlusion"
    assert json.loads(result.settings)["occlusion.unit"] == "frame"
    clip, _, heat, _ = read_reel(tmp_path / result.reel, 8, display_size((32, 32)))
    assert clip.shape == heat.shape and heat.max() > 240  # grey levels, up to the largest value
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert '["clip","Grad-CAM","occlusion","frozen"]' in page and '<option value="occlusion">' in page
    with pytest.raises(ConfigError, match="maps was grad_cam, occlusion, is not set"):
        explain(tmp_path, [models["cnn"]], *shapes(1))


@pytest.mark.long
@pytest.mark.parametrize(
    ("draw", "drawn"),
    [("2", ["Moving something up", "Moving something down"]), pytest.param("0", [], marks=pytest.mark.long)],
)
def test_pictures_of_some_clips_numbers_of_all(models, tmp_path, draw, drawn):
    explain(tmp_path, [models["cnn"], models["cnn_2"]], *shapes(), "--draw", draw, "--films", "gif")
    results = read_results(tmp_path)
    assert len(results) == 6
    assert [r.label_name for r in results if r.sheet] == drawn * 2
    assert len(list((tmp_path / "films").rglob("*.gif"))) == len(list(tmp_path.rglob("*.png"))) == 2 * len(drawn)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count('class="card"') == len(drawn) and f"Shown below: {draw} of 3 clips" in page


@pytest.mark.long
def test_a_model_is_traced_once_whatever_the_shards(models, tmp_path, monkeypatch, capsys):
    built, init = [], Compiled.__init__

    def counting(self, *arguments, **options):
        built.append(self)
        init(self, *arguments, **options)

    monkeypatch.setattr(Compiled, "__init__", counting)
    main(["--model", str(models["cnn"]), "--out", str(tmp_path), *shapes(), "--shard-size", "1", "--films"])
    assert len(read_results(tmp_path)) == 3
    # Of "search+gradient", the default: the clips as they are, the stem, scores, gradients, the answer; and Grad-CAM.
    assert sorted(function.traces for function in built) == [1, 1, 1, 1, 1, 1]
    times = json.loads((tmp_path / "times.json").read_text(encoding="utf-8"))
    assert times["explained"] == 3 and times["a_minute"] == pytest.approx(60 * 3 / times["seconds"])
    assert times["parts"].keys() >= {"read", "trace", "forward", "gradient", "search", "films", "page"}
    assert 0 < sum(times["parts"].values()) < times["seconds"]
    printed = capsys.readouterr().out
    assert f"3 explanations in {times['seconds']:.0f} s, {times['a_minute']:.0f} a minute: read " in printed


def test_records_are_what_the_explainer_says(models, clips, tmp_path):
    model = load_model(models["cnn"])
    options = {"iterations": 3, "length_weight": 0.05}
    explain_clips(model, [clips], tmp_path, name="cnn", class_names=CLASSES, mask=options, films=Films(()))
    expected = TemporalMask(model, **options)(clips["clip"], labels=clips["label"])
    results = read_results(tmp_path)
    # Adam magnifies the last bits of a float where scores hardly differ.
    np.testing.assert_allclose([r.mask for r in results], expected.mask, atol=1e-3)
    np.testing.assert_allclose([r.freeze_score for r in results], expected.freeze_score, atol=1e-4)
    np.testing.assert_allclose([r.true_score for r in results], expected.true_score, atol=1e-5)
    assert [r.target for r in results] == expected.predicted.tolist()
    assert [r.id for r in results] == [id.decode() for id in clips["id"]]
    assert json.loads(results[0].settings)["mask.length_weight"] == 0.05
    probabilities = tf.nn.softmax(model(clips["clip"])).numpy()
    for result, row in zip(results, probabilities, strict=True):
        assert result.top == tuple(np.argsort(-row).tolist()) and result.top[0] == result.predicted  # three classes
        assert result.top_names == tuple(CLASSES[label] for label in result.top)
        np.testing.assert_allclose(result.top_scores, np.sort(row)[::-1], atol=1e-6)
        assert not result.still and result.damage == ""
    first, *answers = summary(tmp_path)
    assert first.startswith("cnn: 4 clips, accuracy ") and len(answers) == 8
    frozen = f"{results[0].freeze_score:.2f} with {results[0].mask_length} of {len(results[0].mask)} frames frozen"
    assert answers[0].startswith(
        f"  {results[0].id}: explained {results[0].target_name}, score {results[0].original_score:.2f}; {frozen}"
    )
    top = [f"{name} {score:.2f}" for name, score in zip(results[0].top_names, results[0].top_scores, strict=True)]
    assert answers[1] == f"    top 3: {', '.join(top)}"


def test_damaged_and_still_clips_are_told(models, clips, tmp_path):
    still = clips | {"clip": clips["clip"].copy(), "damage": np.array([b"", b"ends early", b"", b""])}
    still["clip"][2] = still["clip"][2, :1]
    options = {"mask": {"iterations": 1, "init": "full"}, "films": Films(())}
    with warnings.catch_warnings():
        warnings.simplefilter("error", StillClipWarning)
        explain_clips(load_model(models["cnn"]), [still], tmp_path, name="cnn", class_names=CLASSES, **options)
    results = read_results(tmp_path)
    assert [result.still for result in results] == [False, False, True, False]
    assert [result.damage for result in results] == ["", "ends early", "", ""]
    lines = summary(tmp_path)
    place = next(number for number, line in enumerate(lines) if line.startswith(f"  {results[2].id}: "))
    assert lines[place + 2] == "    All 8 frames of this clip are identical: the mask says nothing about time."
    assert not any("identical" in line for number, line in enumerate(lines) if number != place + 2)
    assert lines[-1] == f"1 clip comes from a damaged file: {results[1].id} (ends early)"
    # Of many clips, the number and the first ones.
    ResultStore(tmp_path).append([replace(results[2], id=str(number)) for number in range(3)])
    assert summary(tmp_path)[-1] == (
        f"4 clips have only identical frames, so that a mask says nothing about time: {results[2].id}, 0, 1, 2"
    )


def test_films_are_written_while_the_next_clips_are_explained(models, clips, tmp_path, monkeypatch):
    """And a clip has a record when its films are there, also where the clips after it cannot be explained."""
    next_batch, write = threading.Event(), explanation_writer.write_media

    def waiting(*arguments, **options):
        assert next_batch.wait(60)
        return write(*arguments, **options)

    def batches():
        yield {key: value[:2] for key, value in clips.items()}
        next_batch.set()
        yield {key: value[2:] for key, value in clips.items()} | {"clip": np.zeros((2, 8, 32, 32, 1))}

    monkeypatch.setattr(explanation_writer, "write_media", waiting)
    mask, done = {"iterations": 1, "init": "full"}, []
    with pytest.raises(TfvidError):
        explain_clips(
            load_model(models["cnn"]),
            batches(),
            tmp_path,
            name="cnn",
            class_names=CLASSES,
            mask=mask,
            films=Films(("webp",)),
            progress=done.append,
        )
    assert done == [2]
    assert [result.id.encode() for result in read_results(tmp_path)] == clips["id"][:2].tolist()
    assert all((tmp_path / result.webp).stat().st_size for result in read_results(tmp_path))


def test_the_true_class_can_be_explained_and_the_mask_can_reverse(models, clips, tmp_path):
    model = load_model(models["cnn"])
    explain_clips(
        model,
        [clips],
        tmp_path,
        name="cnn",
        class_names=CLASSES,
        target="true",
        mask={"iterations": 1, "perturbation": "reverse"},
        films=Films(("webp",)),
    )
    results = read_results(tmp_path)
    assert [r.target for r in results] == clips["label"].tolist()
    assert [r.score_term for r in results] == pytest.approx([r.reverse_score for r in results], abs=1e-6)
    assert all(r.webp and not r.reversed for r in results)
    assert '"Grad-CAM","reversed"' in finish(tmp_path).read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="needs labels, but clip validation-000000 has none"):
        unlabelled = {"clip": clips["clip"], "id": clips["id"]}
        explain_clips(model, [unlabelled], tmp_path / "b", name="m", class_names=CLASSES, target="true")


def test_clips_with_nan_are_skipped_not_their_batch_mates(models, clips, tmp_path):
    broken = clips["clip"].copy()
    broken[1, 3, 0, 0, 0] = np.nan
    skipped = explain_clips(
        load_model(models["cnn"]),
        [clips | {"clip": broken}],
        tmp_path,
        name="cnn",
        class_names=CLASSES,
        mask={"iterations": 1},
        films=Films(()),
    )
    assert skipped == {"validation-000001": "NaN or infinite pixels"}
    assert [r.id[-1] for r in read_results(tmp_path)] == ["0", "2", "3"]


def test_videos_of_any_length_and_size_bad_ones_listed(models, tmp_path, capsys):
    (tmp_path / "a").mkdir()
    files = [video(tmp_path / "long.mp4", 30), video(tmp_path / "a" / "short.mp4", 3)]
    bad = tmp_path / "<b>bad.mp4"
    bad.write_bytes(b"not a video")
    out = tmp_path / "out"
    explain(out, [models["cnn"]], "--video", *map(str, [*files, bad]), "--films", "webp")
    results = read_results(out)
    assert [(r.id[:-9], r.path, r.label, r.correct) for r in results] == [
        ("long", str(files[0]), -1, None),
        ("short", str(files[1]), -1, None),
    ]
    assert all(np.isnan(r.true_score) and r.event == (-1, -1) and r.webp and not r.gif for r in results)
    assert [(r.size, r.shown) for r in results] == [((32, 32), (40, 48))] * 2  # films show the original frames
    np.testing.assert_allclose(results[0].seconds, [0, 0.4, 0.8, 1.2, 1.7, 2.1, 2.5, 2.9], atol=1e-6)
    shown, *_ = read_reel(out / results[0].reel, 8, display_size((40, 48)))
    original = tfvid.read_clip(files[0], 8, (40, 48)) * 255
    smaller = [cv2.resize(frame, (48, 40), interpolation=cv2.INTER_AREA) for frame in shown]
    assert np.corrcoef(np.ravel(smaller), np.ravel(original))[0, 1] > 0.7  # WebP is lossy; other frames of noise have 0
    printed = capsys.readouterr().out
    assert f"skipped: {bad}: no video stream" in printed
    (reason,) = json.loads((out / "skipped.json").read_text(encoding="utf-8")).items()
    assert reason[0].startswith("<b>bad-") and "no video stream" in reason[1]
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;bad" in page and "<b>bad" not in page
    assert "1.7,2.1,2.5,2.9]" in page.replace(", ", ",")

    with pytest.raises(DataError, match="none of the 1 clips could be explained"):
        explain(tmp_path / "none", [models["cnn"]], "--video", str(bad))


@pytest.mark.long
def test_too_many_bad_clips_stop_the_run_and_nothing_is_lost(models, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    lines = ["path,label"]
    for index in range(8):
        file = root / f"{index}.mp4"
        if index < 4:
            video(file)
        else:
            file.write_bytes(b"not a video")
        lines.append(f"{file.name},{CLASSES[index % 3]}")
    (root / "validation.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    given = ["--dataset", "csv", "--root", str(root), "--films", "webp"]
    share = ["data.max_bad_share=0.3", "data.workers=1", "mask.batch_size=1"]
    with pytest.raises(DataError, match=r"of 8 clips cannot be read.*0\.3"):
        explain(out, [models["cnn"]], *given, *share)
    kept = [r.id for r in read_results(out)]
    assert kept and set(kept) <= {f"{index}.mp4" for index in range(4)}
    assert (out / "index.html").exists() and len(json.loads((out / "skipped.json").read_text())) >= 3

    # A second start finds fewer clips missing; the share is still one of the whole run.
    explain(out, [models["cnn"]], *given, "data.max_bad_share=0.5")
    assert sorted(r.id for r in read_results(out)) == [f"{index}.mp4" for index in range(4)]


@pytest.mark.long
def test_too_many_damaged_clips_end_the_run_with_one_line_and_the_page(models, tmp_path, capsys):
    source = damaged_dataset(tmp_path, ["validation-1"], 3, CLASSES)
    given = ["--dataset", source, "--films", "data.workers=1"]
    with pytest.raises(
        DataError, match=r"1 of 3 clips come from damaged files, more than .* 0.2 \(max_damaged_share\)"
    ):
        explain(tmp_path / "strict", [models["cnn"]], *given, "data.max_damaged_share=0.2")
    assert (tmp_path / "strict" / "index.html").exists()
    capsys.readouterr()
    explain(tmp_path / "out", [models["cnn"]], *given)
    assert [result.damage for result in read_results(tmp_path / "out")] == ["", "ends early", ""]
    assert "\n1 clip comes from a damaged file: validation-1 (ends early)\n" in capsys.readouterr().out


@pytest.mark.long
def test_a_second_start_does_only_what_is_missing(models, tmp_path, monkeypatch):
    explain(tmp_path, [models["cnn"]], *shapes(3), "--films", "webp")
    before = {r.id: r for r in read_results(tmp_path)}
    times = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "films" / "cnn").iterdir()}
    seen = []
    original = TemporalMask.__call__

    def watched(self, clips, **options):
        seen.append(len(clips))
        return original(self, clips, **options)

    monkeypatch.setattr(TemporalMask, "__call__", watched)
    explain(tmp_path, [models["cnn"]], *shapes(3), "--films", "webp")
    assert seen == []
    explain(tmp_path, [models["cnn"]], *shapes(5), "--films", "webp")
    assert seen == [2]
    after = {r.id: r for r in read_results(tmp_path)}
    assert len(after) == 5 and all(after[id].loss == before[id].loss for id in before)
    assert all((tmp_path / "films" / "cnn" / name).stat().st_mtime_ns == time for name, time in times.items())

    with pytest.raises(ConfigError, match="mask.iterations was 2, is 9"):
        explain(tmp_path, [models["cnn"]], *shapes(5), "mask.iterations=9")
    with pytest.raises(ConfigError, match="source was"):
        explain(tmp_path, [models["cnn"]], *shapes(5), "data.options.seed=7")


@pytest.mark.long
def test_a_killed_run_goes_on_where_it_was(models, tmp_path, forks):
    arguments = ["--model", models["cnn"], *shapes(4), "--films", "webp", "--out", tmp_path]
    command = [ROOT / "scripts" / "explain.py", *arguments, *QUICK, "mask.batch_size=1"]
    run = forks.start(SCRIPT, *command, cwd=tmp_path)
    parts = tmp_path / "results.parts"
    try:
        while not list(parts.glob("part-*.parquet")):
            assert run.is_running(), "it ended without writing a part"
            time.sleep(0.01)
    finally:
        run.kill()
    kept = {r.id for r in read_results(tmp_path)}
    assert kept
    explain(tmp_path, [models["cnn"]], *shapes(4), "--films", "webp")
    assert len(read_results(tmp_path)) == 4 and not parts.exists()
    assert not [file for file in tmp_path.rglob(".*-*") if str(run.pid) not in file.name]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--dataset", "shapes", "mask.iteration=5"], ConfigError, "did you mean 'mask.iterations'"),
        (
            ["--dataset", "shapes", "mask.method=search+gradient", "mask.init=full"],
            ConfigError,
            "option mask.init: method 'search[+]gradient' does not use it; add mask.method=gradient",
        ),
        (["--dataset", "shapes", "rise.masks=5"], ConfigError, "no method 'rise' in this run; add --method rise"),
        (["--dataset", "shapes", "--method", "ris"], TfvidError, "unknown explainer 'ris'; did you mean 'rise'"),
        (
            ["--dataset", "shapes", "--method", "rise", "rise.mask=5"],
            ConfigError,
            "unknown option 'rise.mask'; did you mean 'rise.masks'",
        ),
        (
            [*shapes(1), "--method", "grad_cam", "--method", "attention_rollout"],
            ModelError,
            "method 'attention_rollout' does not apply to model 'cnn': ",
        ),
        (["--dataset", "shapes", "data.sizes=5"], ConfigError, "did you mean 'data.size'"),
        (["--video", "a.mp4", "--root", "data"], ConfigError, "--root goes with --dataset"),
        (["--dataset", "shapes", "--split", "test"], ConfigError, "unknown split 'test'"),
        (
            ["--dataset", "shapes", "--classes", "Moving something upp"],
            ConfigError,
            "did you mean 'Moving something up'",
        ),
        (["--dataset", "shapes", "--limit", "14"], ModelError, "knows no class 'Moving something from left to right'"),
        (["--dataset", "shapes", *shapes()[2:], "grad_cam.layer=conv"], ModelError, "unknown layer 'conv'"),
    ],
)
def test_mistakes_get_one_clear_line(models, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        explain(tmp_path, [models["cnn"]], *arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "index.html").exists()


def test_two_models_of_one_name(models, tmp_path):
    with pytest.raises(ConfigError, match="got two called 'cnn'"):
        explain(tmp_path, [models["cnn"], models["cnn"]], *shapes())


@pytest.mark.long
def test_a_model_without_a_card_takes_the_class_names_of_the_data(tmp_path):
    folder = tmp_path / "bare"
    folder.mkdir()
    ConvLSTM(14, 8, (32, 32), blocks=1, filters=2).save(folder / "bare.keras")
    explain(tmp_path / "out", [folder / "bare.keras"], "--dataset", "shapes", "--limit", "1", "--films")
    (result,) = read_results(tmp_path / "out")
    assert result.model == "bare" and result.label_name == "Moving something from left to right"
    assert result.predicted_name in MovingShapes().class_names and not (result.gif or result.webp or result.mp4)


class Listed(VideoDataset):
    class_names = ("a", "b", "c")

    def samples(self, split):
        return [Sample(str(i), label) for i, label in enumerate([0, 0, 0, 0, 1, 1, 2])]


def test_a_limit_takes_the_classes_in_turn():
    ids = [[sample.id for sample in choose(Listed(), "train", None, limit)] for limit in (2, 5, None)]
    assert ids == [["0", "4"], ["0", "4", "6", "1", "5"], ["0", "1", "2", "3", "4", "5", "6"]]
    assert [sample.id for sample in choose(Listed(), "train", ["c", "b"], None)] == ["4", "5", "6"]


def test_ids_tell_video_files_apart(tmp_path):
    """A run may go on in a folder that has records of other files: of one name, or of what the file held before."""
    files = [tmp_path / "x" / "a.mp4", tmp_path / "y" / "a.mp4"]
    for file in files:
        file.parent.mkdir()
        file.write_bytes(b"1")

    def ids(*paths):
        return [sample.id for sample in VideoFiles(list(map(str, paths))).samples("videos")]

    first, second = ids(*files)
    assert first.startswith("a-") and second.startswith("a-") and first != second
    assert ids(files[1], files[0], files[1]) == [second, first]
    files[0].write_bytes(b"12")
    assert ids(files[0]) != [first]
    assert len(ids("missing.mp4")) == 1


@pytest.mark.parametrize(
    ("mask", "event", "expected"),
    [
        # Windows of 2 in 6 frames start at 0 to 4; with frames 1 and 2 they overlap by 1, 2, 1, 0, 0.
        ([0, 1, 1, 0, 0, 0], (1, 3), (1.0, (1 / 3 + 1 + 1 / 3) / 5, 1 / 3)),
        ([0, 0, 0, 0, 0, 0], (1, 3), (0.0, 0.0, 0.0)),
        ([1, 1, 1, 1, 1, 1], (1, 3), (1 / 3, 1 / 3, 1 / 3)),
        ([0, 1, 1, 0, 0, 0], (-1, -1), (np.nan,) * 3),
    ],
)
def test_temporal_iou_and_its_baselines_by_hand(mask, event, expected):
    values = overlaps(np.array(mask, np.float32), np.array(event))
    keys = ("temporal_iou", "temporal_iou_random", "temporal_iou_centred")
    np.testing.assert_allclose([values[key] for key in keys], expected)


@pytest.mark.long
def test_without_a_model_the_one_of_videos_that_comes_with_tfvid(tmp_path, monkeypatch):
    out = tmp_path / "out"
    main(["--out", str(out), "--video", str(video(tmp_path / "any.mp4", 20)), "--films", "webp", *QUICK])
    assert [result.model for result in read_results(out)] == ["fights_i3d"]

    monkeypatch.setattr(explain_command, "__file__", str(tmp_path / "site-packages" / "tfvid" / "cli" / "x.py"))
    with pytest.raises(ConfigError, match="name one with --model"):
        main(["--video", "any.mp4"])
