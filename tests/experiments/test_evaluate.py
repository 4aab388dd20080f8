"""Evaluation: how clips are replayed, what is measured, and the command's files."""

import csv
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from small_videos import damaged_dataset, write_video

from tfvid.cli.evaluate import main
from tfvid.config import from_dict, to_yaml
from tfvid.core.errors import ConfigError, DataError, ModelError, TfvidError
from tfvid.experiments.evaluation import PLAYBACKS, Predictions, frame_order, measure, predict
from tfvid.models.card import ModelCard
from tfvid.models.custom import load_custom
from tfvid.training.export import write_saved_model

CLASSES = [
    "Moving something from left to right",
    "Moving something from right to left",
    "Something colliding with something",
]
T, SIZE = 6, (16, 16)


# Replaying ----------------------------------------------------------------------------------------------------


def test_orders_by_hand():
    np.testing.assert_array_equal(frame_order("forward", 5, "a"), [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(frame_order("reversed", 5, "a"), [4, 3, 2, 1, 0])
    np.testing.assert_array_equal(frame_order("single_frame", 5, "a"), [2, 2, 2, 2, 2])
    np.testing.assert_array_equal(frame_order("single_frame", 4, "a"), [2, 2, 2, 2])
    with pytest.raises(ValueError, match="playback must be one of"):
        frame_order("sideways", 5, "a")


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.text(max_size=8), st.integers(0, 2**31))
def test_shuffled_is_a_permutation_by_seed_and_id(num_frames, clip_id, seed):
    order = frame_order("shuffled", num_frames, clip_id, seed)
    assert sorted(order) == list(range(num_frames))
    np.testing.assert_array_equal(order, frame_order("shuffled", num_frames, clip_id, seed))


def test_shuffled_differs_by_seed_and_id():
    orders = {tuple(frame_order("shuffled", 16, name, seed)) for name in "abc" for seed in range(3)}
    assert len(orders) == 9


def batches(clips, labels, batch_size):
    ids = [f"clip {i}" for i in range(len(clips))]
    return tf.data.Dataset.from_tensor_slices({"clip": clips, "label": labels, "id": ids}).batch(batch_size)


def first_frame_model():
    """Logits: the mean brightness of the first frame, and of the last."""
    clips = keras.Input((T, *SIZE, 3))
    brightness = keras.layers.Reshape((T, -1))(clips)
    brightness = keras.layers.GlobalAveragePooling1D(data_format="channels_first")(brightness)
    kernel = np.zeros((T, 2), np.float32)
    kernel[0, 0] = kernel[-1, 1] = 1
    model = keras.Model(clips, keras.layers.Dense(2, use_bias=False)(brightness))
    model.layers[-1].kernel.assign(kernel)
    return model


@pytest.fixture(scope="module")
def ramps():
    """Clips whose frame t has brightness t / 10 + clip / 100."""
    levels = np.arange(T) / 10 + np.arange(5)[:, None] / 100
    return np.broadcast_to(levels[..., None, None, None], (5, T, *SIZE, 3)).astype(np.float32)


def test_predict_plays_clips_in_each_order(ramps):
    labels = np.array([1, 0, 1, 1, 0])
    predictions = predict(first_frame_model(), batches(ramps, labels, 2), PLAYBACKS, seed=3)
    first, last = ramps[:, 0, 0, 0, 0], ramps[:, -1, 0, 0, 0]
    assert predictions.ids == [f"clip {i}" for i in range(5)]
    np.testing.assert_array_equal(predictions.labels, labels)
    logits = predictions.logits
    np.testing.assert_allclose(logits["forward"], np.stack([first, last], 1), atol=1e-5)
    np.testing.assert_allclose(logits["reversed"], np.stack([last, first], 1), atol=1e-5)
    middle = ramps[:, 3, 0, 0, 0]
    np.testing.assert_allclose(logits["single_frame"], np.stack([middle, middle], 1), atol=1e-5)
    orders = np.stack([frame_order("shuffled", T, name, 3) for name in predictions.ids])
    shuffled = np.take_along_axis(ramps[:, :, 0, 0, 0], orders, axis=1)
    np.testing.assert_allclose(logits["shuffled"], shuffled[:, [0, -1]], atol=1e-5)


def test_a_clips_answer_does_not_depend_on_its_batch(ramps):
    model, labels = first_frame_model(), np.zeros(5, int)
    small, large = (predict(model, batches(ramps, labels, size), PLAYBACKS) for size in (1, 5))
    for playback in PLAYBACKS:
        np.testing.assert_allclose(small.logits[playback], large.logits[playback], atol=1e-6)


def test_predict_traces_twice(ramps):
    """To see what the model is, and to run it; also with a smaller last batch: the batch size is left open."""
    traces = []

    class Counting(keras.layers.Layer):
        def call(self, x):
            traces.append(x.shape)
            return x

    clips = keras.Input((T, *SIZE, 3))
    model = keras.Model(clips, keras.layers.GlobalAveragePooling3D()(Counting()(clips)))
    traces.clear()
    predict(model, batches(ramps, np.zeros(5, int), 2), PLAYBACKS)
    assert [shape[0] for shape in traces].count(None) == 2


# Measuring ----------------------------------------------------------------------------------------------------


def answers(predicted, num_classes=3):
    return np.eye(num_classes, dtype=np.float32)[predicted]


def test_measure_by_hand():
    labels = np.array([0, 0, 1, 2])
    logits = {"forward": answers([0, 1, 1, 2]), "reversed": answers([1, 0, 0, 2])}
    measures = measure(Predictions(list("abcd"), labels, logits), {0: 1, 1: 0, 2: 2})
    assert measures["forward"]["top_1"] == 3 / 4
    # class 0: TP 1, FN 1 -> 2/3.  1: TP 1, FP 1 -> 2/3.  2: 1.
    assert measures["forward"]["class_f1"] == pytest.approx([2 / 3, 2 / 3, 1])
    assert measures["reversed"]["top_1"] == 2 / 4
    assert measures["reversed"]["paired_clips"] == 3  # class 2 is its own reversal
    assert measures["reversed"]["swapped_top_1"] == pytest.approx(2 / 3)
    assert "swapped_top_1" not in measures["forward"]
    assert measures["forward"]["paired_clips"] == 3
    assert measures["forward"]["paired_top_1"] == pytest.approx(2 / 3)


def test_measure_without_paired_labels():
    predictions = Predictions(["a"], np.array([2]), {"reversed": answers([2])})
    assert "swapped_top_1" not in measure(predictions)["reversed"]
    backwards = measure(predictions, {2: 2})["reversed"]
    assert (backwards["paired_clips"], backwards["swapped_top_1"]) == (0, None)


def test_measure_refuses_no_clips_and_no_labels():
    with pytest.raises(DataError, match="no clip"):
        measure(Predictions([], np.zeros(0, int), {"forward": np.zeros((0, 3))}))
    with pytest.raises(DataError, match="label -1 is not one of the 3 classes"):
        measure(Predictions(["a"], np.array([-1]), {"forward": answers([0])}))


# The command --------------------------------------------------------------------------------------------------


def config():
    values = {
        "options": {"classes": CLASSES, "train": 6, "validation": 9},
        "num_frames": T,
        "size": list(SIZE),
        "batch_size": 4,
        "workers": 1,
    }
    return from_dict({"name": "net", "data": values, "model": {"name": "conv_lstm"}})


def saved(folder):
    from tfvid.models.conv_lstm import ConvLSTM

    keras.utils.set_random_seed(1)
    model = ConvLSTM(len(CLASSES), T, SIZE, blocks=1, filters=2, kernel=3)
    described = ModelCard("net", tuple(CLASSES), T, SIZE, "shapes")
    write_saved_model(folder, model, described, to_yaml(config()))
    return folder


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluate")
    main(["--model", str(saved(root / "net")), "--out", str(root / "out")])
    return root


def rows(path: Path) -> list[list[str]]:
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_files_of_an_evaluation(evaluated):
    assert sorted(path.name for path in (evaluated / "out").iterdir()) == sorted(
        ["metrics.json", "scores.csv", "class_f1.csv"]
        + [f"confusion_{playback}.{suffix}" for playback in PLAYBACKS for suffix in ("csv", "png")]
    )


def test_the_files_agree(evaluated):
    out = evaluated / "out"
    results = json.loads((out / "metrics.json").read_text())
    assert results["clips"] == 9 and results["skipped"] == {}
    header, *table = rows(out / "scores.csv")
    assert header == ["playback", "top_1", "top_5", "f1", "f1_top_5"]
    assert [row[0] for row in table] == list(PLAYBACKS)
    for playback, *values in table:
        assert [float(v) for v in values] == [results["playbacks"][playback][name] for name in header[1:]]
        _, *matrix = rows(out / f"confusion_{playback}.csv")
        assert [row[0] for row in matrix] == CLASSES
        matrix = np.array([[int(count) for count in row[1:]] for row in matrix])
        assert matrix.sum() == 9
        assert np.trace(matrix) / 9 == pytest.approx(results["playbacks"][playback]["top_1"])
    header, *classes = rows(out / "class_f1.csv")
    assert header == ["class", "clips", *PLAYBACKS]
    assert [(row[0], int(row[1])) for row in classes] == [(name, 3) for name in CLASSES]
    assert results["playbacks"]["reversed"]["paired_clips"] == 6


def test_the_command_repeats_itself(evaluated):
    before = (evaluated / "out" / "metrics.json").read_bytes()
    main(["--model", str(evaluated / "net"), "--out", str(evaluated / "out")])
    assert (evaluated / "out" / "metrics.json").read_bytes() == before


def test_results_go_into_the_models_run(evaluated, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    main(["--model", str(evaluated / "net"), "data.options.validation=3"])
    assert (tmp_path / "runs" / "net" / "evaluation" / "validation" / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["--split", "tset"], TfvidError, "unknown split 'tset'"),
        (["data.num_frames=8"], ModelError, r"the model expects clips of \(6, 16, 16, 3\), .* give \(8, 16, 16, 3\)"),
        (["data.options.classes=[Something appearing]"], ModelError, "trained on other classes than those of shapes"),
        (["data.sise=3"], ConfigError, "did you mean 'data.size'"),
        (["--config", "gone.yaml"], ConfigError, "gone.yaml: no such file"),
    ],
)
def test_what_does_not_fit_is_one_line(evaluated, tmp_path, arguments, error, said):
    with pytest.raises(error, match=said) as caught:
        main(["--model", str(evaluated / "net"), "--out", str(tmp_path / "out"), *arguments])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(ModelError) as caught:
        main(["--model", str(tmp_path / "gone")])
    assert str(caught.value).startswith(f"{tmp_path / 'gone'}: no such model; expected a .keras, .h5, .onnx, .xml or")
    with pytest.raises(ModelError, match="no model.keras in this folder"):
        main(["--model", str(tmp_path)])


def test_a_limit_is_said_and_has_a_folder_of_its_own(evaluated, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    main(["--model", str(evaluated / "net"), "--limit", "4"])
    printed = capsys.readouterr()
    assert printed.out.startswith("4 clips of validation, 0 skipped, 0 damaged\n")
    assert "net: 100%" in printed.err and "4/4" in printed.err
    results = json.loads((tmp_path / "runs/net/evaluation/validation-limit-4/metrics.json").read_text())
    assert (results["clips"], results["limit"]) == (4, 4)
    # Nine clips of three classes: two of the first class, one of each other.
    header, *classes = rows(tmp_path / "runs/net/evaluation/validation-limit-4/class_f1.csv")
    assert [int(row[1]) for row in classes] == [2, 1, 1]


def test_shards_that_are_gone_are_replaced_by_their_dataset(evaluated, tmp_path, capsys):
    """Only those that the model's own configuration names; what the user names must be there."""
    model = tmp_path / "net"
    shutil.copytree(evaluated / "net", model)
    file = model / "assets.extra" / "config.yaml"
    file.write_text(file.read_text().replace("records: null", "records: gone/shards"))
    assert "records: gone/shards" in file.read_text()
    main(["--model", str(model), "--out", str(tmp_path / "out"), "data.options.validation=3"])
    said = "gone/shards: no such folder (data.records of the model's training); reading dataset shapes instead\n"
    assert capsys.readouterr().out.startswith(said + "3 clips of validation")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["clips"] == 3
    for arguments in (["data.records=gone/others"], ["--config", str(file)]):
        with pytest.raises(DataError, match="^gone/(others|shards): no such folder$"):
            main(["--model", str(model), "--out", str(tmp_path / "none"), *arguments])


def test_a_bare_model_needs_a_config(evaluated, tmp_path):
    bare = tmp_path / "bare.keras"
    bare.write_bytes((evaluated / "net" / "assets.extra" / "model.keras").read_bytes())
    with pytest.raises(ConfigError, match="no config.yaml beside it; name the data with --config"):
        main(["--model", str(bare)])
    out = tmp_path / "out"
    main(["--model", str(bare), "--config", str(evaluated / "net" / "assets.extra" / "config.yaml"), "--out", str(out)])
    assert json.loads((out / "metrics.json").read_text())["clips"] == 9
    with pytest.raises(ModelError, match="the model has 3 classes, shapes has 2"):
        two = 'data.options.classes=["Something appearing", "Something disappearing"]'
        main(["--model", str(bare), "--config", str(evaluated / "net" / "assets.extra" / "config.yaml"), two])


def test_a_subclassed_model_is_measured_by_its_card(tmp_path):
    """It has no `output_shape` and no `input_shape`; asked for them, it raised AttributeError."""
    (tmp_path / "own.py").write_text(
        "import keras\n\n\nclass Own(keras.Model):\n    def __init__(self, classes=3, **options):\n"
        "        super().__init__(**options)\n        self.classes = classes\n"
        "        self.head = keras.layers.Dense(classes)\n\n"
        "    def call(self, clips):\n        return self.head(keras.ops.mean(clips, (1, 2, 3)))\n\n"
        "    def get_config(self):\n        return {'classes': self.classes}\n"
    )
    custom = load_custom(tmp_path / "own.py")
    (tmp_path / "config.yaml").write_text(to_yaml(config()))
    arguments = ["--model", tmp_path / "own.keras", "--custom", tmp_path / "own.py", "--out", tmp_path / "out"]

    def evaluate(num_classes):
        model = custom["Own"](num_classes)
        model(np.zeros((1, T, *SIZE, 3), np.float32))
        model.save(tmp_path / "own.keras")
        main(list(map(str, arguments)))

    with pytest.raises(ModelError, match="own: a subclassed model does not say what it takes .* card.json beside"):
        evaluate(3)
    (tmp_path / "card.json").write_text(ModelCard("own", tuple(CLASSES), T, SIZE, "shapes").to_json())
    evaluate(3)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["clips"] == 9
    with pytest.raises(ModelError, match="own.keras: 3 class names for a model of 4 classes"):
        evaluate(4)


def test_bad_clips_are_counted(tmp_path):
    folder = tmp_path / "clips"
    for name in ("a", "b", "c"):
        for number in range(2):
            write_video(folder / "validation" / name / f"{number}.avi", 6)
    (folder / "validation" / "a" / "0.avi").write_bytes(b"")
    model = saved(tmp_path / "net")
    (model / "assets.extra" / "card.json").unlink()
    data = ["data.dataset=folder", f"data.root={folder}", "data.options={}"]
    arguments = ["--model", str(model), "--out", str(tmp_path / "out"), *data]
    main([*arguments, "data.max_bad_share=0.5"])
    results = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert results["clips"] == 5 and len(results["skipped"]) == 1
    with pytest.raises(DataError, match="1 of 6 clips cannot be read"):
        main([*arguments, "data.max_bad_share=0.1"])


def test_damaged_clips_are_counted_and_named(tmp_path, capsys):
    source = damaged_dataset(tmp_path, ["validation-2"], 3, "abc")
    model = saved(tmp_path / "net")
    (model / "assets.extra" / "card.json").unlink()
    data = [f"data.dataset={source}", "data.options={}"]
    arguments = ["--model", str(model), "--out", str(tmp_path / "out"), *data]
    main(arguments)
    results = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert results["damaged"] == {"validation-2": "ends early"} and results["clips"] == 3
    printed = capsys.readouterr().out
    assert (
        "3 clips of validation, 0 skipped, 1 damaged\n1 clip comes from a damaged file: validation-2 (ends early)"
        in printed
    )
    with pytest.raises(
        DataError, match=r"1 of 3 clips come from damaged files, more than .* 0.3 \(max_damaged_share\)"
    ):
        main([*arguments, "data.max_damaged_share=0.3"])
