"""Training: schedules, decay and precision as literals; one tiny run and what it leaves on disk."""

import contextlib
import json
import math
import random
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from disk import full_disk
from small_models import DROPOUT_NETWORK
from small_videos import damaged_dataset, write_video

from tfvid import config as cfg
from tfvid.core.errors import ConfigError, ModelError, TfvidError
from tfvid.models.build import build_model, seeded
from tfvid.models.card import ModelCard
from tfvid.models.conv_lstm import ConvLSTM
from tfvid.models.i3d import I3D
from tfvid.models.loading import load_card, load_model
from tfvid.network import onednn
from tfvid.training import precision, train
from tfvid.training.callbacks import StopOnNaN
from tfvid.training.checkpoints import Checkpoints, best_epoch
from tfvid.training.export import write_saved_model
from tfvid.training.loop import explained_layer
from tfvid.training.optimizer import add_weight_decay, make_optimizer
from tfvid.training.plateau import plateau_rate
from tfvid.training.run import Run

CLASSES = [
    "Moving something from left to right",
    "Moving something from right to left",
    "Something colliding with something",
]


CONV_LSTM = {"model__name": "conv_lstm", "model__options": {"blocks": 1, "filters": 2, "kernel": 3, "dropout": 0.2}}


def tiny(**changes):
    """A run of a second; `changes` are dotted keys with `.` as `__`."""
    values = {
        "name": "tiny",
        "data": {
            "options": {"classes": CLASSES, "train": 9, "validation": 6},
            "num_frames": 4,
            "size": [8, 8],
            "batch_size": 3,
            "workers": 1,
        },
        "model": {"name": DROPOUT_NETWORK},
        "train": {"epochs": 2, "mixed_precision": False},
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        inner = values
        for name in path:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return cfg.from_dict(values)


# Schedules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accuracies", "rate"),
    [
        ([], 1.0),
        ([0.1, 0.2, 0.3], 1.0),
        ([0.3, 0.2], 1.0),
        ([0.3, 0.2, 0.1], 0.5),
        ([0.3, 0.3, 0.3], 0.5),  # equal is not better
        ([0.3, 0.2, 0.4, 0.1], 1.0),  # a better one starts the count again
        ([0.3, 0.2, 0.1, 0.1, 0.1], 0.25),
        ([0.3, 0.2, 0.1, 0.1, 0.4, 0.1, 0.1], 0.25),
        ([0.3] + 20 * [0.0], 0.01),  # not below the minimum
    ],
)
def test_plateau_halves_after_two_epochs_without_a_better_accuracy(accuracies, rate):
    assert plateau_rate(accuracies, initial=1.0, patience=2, minimum=0.01) == rate


def test_plateau_patience():
    assert plateau_rate([0.5, 0.1, 0.1], initial=8.0, patience=1, minimum=0.0) == 2.0
    assert plateau_rate([0.5, 0.1, 0.1], initial=8.0, patience=3, minimum=0.0) == 8.0


def test_cosine_with_warmup():
    train_config = cfg.TrainConfig(
        epochs=5, learning_rate=0.1, schedule="cosine", warmup_epochs=1.0, min_learning_rate=0.01
    )
    rate = make_optimizer(train_config, steps_per_epoch=10)._learning_rate
    values = [float(rate(step)) for step in (0, 5, 10, 30, 50, 60)]
    # 10 steps up, then 40 down: half-way is the mean of top and bottom.
    np.testing.assert_allclose(values, [0, 0.05, 0.1, 0.055, 0.01, 0.01], atol=1e-6)


def test_cosine_without_warmup_starts_at_the_top():
    train_config = cfg.TrainConfig(epochs=2, learning_rate=0.1, schedule="cosine", min_learning_rate=0.0)
    rate = make_optimizer(train_config, steps_per_epoch=4)._learning_rate
    np.testing.assert_allclose([float(rate(s)) for s in (0, 4, 8)], [0.1, 0.05, 0.0], atol=1e-7)


def test_optimizers():
    sgd = make_optimizer(cfg.TrainConfig(optimizer="sgd", momentum=0.2, learning_rate=0.5), 1)
    assert isinstance(sgd, keras.optimizers.SGD) and sgd.momentum == 0.2
    assert float(sgd.learning_rate) == 0.5
    assert isinstance(make_optimizer(cfg.TrainConfig(), 1), keras.optimizers.Adam)


def test_weight_decay_adds_w_times_decay_to_the_gradient_of_kernels_only():
    model = I3D(3, 4, (16, 16), width=0.1, depth=1)
    add_weight_decay(model, 0.1)
    with tf.GradientTape() as tape:
        loss = tf.add_n(model.losses)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    kernels = 0
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        if variable.name == "kernel":
            np.testing.assert_allclose(gradient, 0.1 * variable.numpy(), rtol=1e-5)
            kernels += 1
        else:
            assert variable.name in ("gamma", "beta", "bias") and gradient is None
    assert kernels == 3 + 6 + 1  # the stem, one Inception module, the classifier


def test_no_weight_decay_no_loss():
    model = ConvLSTM(2, 4, (8, 8), blocks=1, filters=2)
    add_weight_decay(model, 0.0)
    assert model.losses == []


# Precision ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "onednn_on", "limit", "expected"),
    [
        ({"avx2", "amx_bf16"}, True, None, "mixed_bfloat16"),
        ({"avx512_bf16"}, True, "avx512_core_bf16", "mixed_bfloat16"),
        ({"avx512_bf16"}, True, "AVX2", "float32"),  # oneDNN is told to use no more
        ({"avx512_bf16"}, True, "AVX512_CORE", "float32"),
        ({"avx512_bf16"}, False, None, "float32"),
        ({"avx2"}, True, None, "float32"),
    ],
)
def test_mixed_precision_follows_the_processor(monkeypatch, flags, onednn_on, limit, expected):
    assert precision.policy(True) == "mixed_bfloat16"
    assert precision.policy(False) == "float32"
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(onednn, "cpu_flags", lambda: flags)
    monkeypatch.setattr(onednn, "is_on", lambda: onednn_on)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if limit:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert precision.policy("auto") == expected


def test_mixed_precision_follows_the_gpu(monkeypatch):
    monkeypatch.setattr(onednn, "cpu_flags", lambda: {"amx_bf16"})
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["gpu"])
    for capability, expected in [((8, 0), "mixed_bfloat16"), ((9, 0), "mixed_bfloat16"), ((7, 5), "float32")]:
        details = {"compute_capability": capability}
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu, details=details: details)
        assert precision.policy("auto") == expected


def test_cpu_flags(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu amx_bf16\n\nprocessor : 1\nflags : fpu\n")
    assert onednn.cpu_flags(tmp_path / "cpuinfo") == {"fpu", "amx_bf16"}
    assert onednn.cpu_flags(tmp_path / "gone") == set()


# Building -----------------------------------------------------------------------------------------------------


def built(config, **options):
    data, model = config.data, config.model
    return build_model(model.name, 3, data.num_frames, data.size, model.options, seed=config.seed, **options)


def test_the_same_seed_gives_the_same_weights_and_leaves_pythons_generator_alone():
    random.seed(5)
    expected = random.random()
    random.seed(5)
    one, two = (built(tiny()) for _ in range(2))
    other = built(tiny(seed=1))
    assert random.random() == expected
    for a, b in zip(one.variables, two.variables, strict=True):  # dropout's generator too
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))


def test_seeded_restores_the_generator_after_an_error():
    state = random.getstate()
    with contextlib.suppress(RuntimeError), seeded(1):
        raise RuntimeError
    assert random.getstate() == state


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"filter": 2}, "unknown option of conv_lstm 'filter'; did you mean 'filters'?"),
        ({"dtype": "float16"}, "unknown option of conv_lstm 'dtype'"),
        ({"blocks": 1, "filters": -1}, "cannot build conv_lstm with {'blocks': 1, 'filters': -1}"),
        ({"blocks": 9}, "9 blocks"),
    ],
)
def test_options_that_a_model_does_not_take(options, said):
    with pytest.raises(ModelError) as caught:
        built(tiny(**CONV_LSTM | {"model__options": options}))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_from_a_users_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import keras\n"
        "def Net(num_classes, num_frames, size, units=4, dtype=None):\n"
        "    clips = keras.Input((num_frames, *size, 3))\n"
        "    x = keras.layers.Dense(units, dtype=dtype)(keras.layers.GlobalAveragePooling3D(dtype=dtype)(clips))\n"
        "    return keras.Model(clips, keras.layers.Dense(num_classes, dtype='float32')(x))\n"
    )
    model = built(tiny(model__name=f"{file}:Net", model__options={"units": 7}), dtype="mixed_bfloat16")
    assert model.layers[2].units == 7 and model.layers[2].compute_dtype == "bfloat16"


def test_the_layers_the_paper_explains():
    assert explained_layer(I3D(2, 8, (32, 32), width=0.1)) == "Mixed_5c"
    assert explained_layer(ConvLSTM(2, 4, (16, 16), blocks=2, filters=2)) == "conv_lstm_2"


# Checkpoints --------------------------------------------------------------------------------------------------


def compiled(filters=2):
    model = ConvLSTM(2, 4, (8, 8), blocks=1, filters=filters, kernel=3)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def checkpoints(tmp_path):
    export = ConvLSTM(2, 4, (8, 8), blocks=1, filters=2, kernel=3)
    return Checkpoints(tmp_path / "checkpoints", compiled(), export, ModelCard("tiny", ("a", "b"), 4, (8, 8)))


def records(*accuracies):
    return [{"val_accuracy": accuracy} for accuracy in accuracies]


def test_best_and_last_are_kept(checkpoints):
    history = []
    kept = []
    for accuracy in (0.1, 0.5, 0.2, 0.3, 0.6):
        history += records(accuracy)
        checkpoints.save(history)
        kept.append(checkpoints.epochs())
    assert kept == [[1], [2], [2, 3], [2, 4], [5]]
    assert best_epoch(history) == 5


def test_of_equal_epochs_the_first_is_best():
    assert best_epoch(records(0.2, 0.5, 0.5)) == 2


def test_restore_brings_everything_back(checkpoints):
    model = checkpoints.model
    variables = [*model.variables, *model.optimizer.variables]
    rng = np.random.default_rng(0)
    values = [rng.random(v.shape).astype(v.dtype) for v in variables]
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    checkpoints.save(records(1 / 3))
    for variable in variables:
        variable.assign(np.zeros(variable.shape, variable.dtype))
    assert checkpoints.restore() == records(1 / 3)
    for variable, value in zip(variables, values, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_folder_that_is_half_written_is_never_read(checkpoints):
    checkpoints.save(records(0.1))
    (checkpoints.folder / ".epoch-0002").mkdir()
    again = Checkpoints(checkpoints.folder, checkpoints.model, checkpoints.export, checkpoints.card)
    assert again.epochs() == [1]
    assert not (checkpoints.folder / ".epoch-0002").exists()


def test_a_full_disk_leaves_earlier_checkpoints(checkpoints):
    checkpoints.save(records(0.1))
    before = {path: path.read_bytes() for path in checkpoints.folder.rglob("*") if path.is_file()}
    with pytest.raises(TfvidError) as caught, full_disk(5000):
        checkpoints.save(records(0.1, 0.2))
    assert "epoch-0002: cannot write the checkpoint" in str(caught.value)
    assert "epoch 1 is kept" in str(caught.value) and "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in checkpoints.folder.rglob("*") if path.is_file()} == before
    assert checkpoints.restore() == records(0.1)


def test_a_full_disk_leaves_the_older_saved_model(tmp_path):
    folder, card, model = tmp_path / "net", ModelCard("net", ("a", "b"), 4, (8, 8)), compiled()
    write_saved_model(folder, model, card, cfg.to_yaml(tiny()))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(TfvidError, match="net: cannot write the saved model") as caught, full_disk(20000):
        write_saved_model(folder, model, card, cfg.to_yaml(tiny()))
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("file", ["model.keras", "training.npz", "state.json"])
def test_a_damaged_checkpoint_is_one_line(checkpoints, file):
    checkpoints.save(records(0.1))
    path = checkpoints.path(1) / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match="epoch-0001") as caught:
        checkpoints.restore()
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_model_names_the_layer_and_both_shapes(checkpoints):
    checkpoints.save(records(0.1))
    other = Checkpoints(checkpoints.folder, compiled(filters=5), checkpoints.export, checkpoints.card)
    with pytest.raises(
        ModelError, match=r"layer 'conv_lstm_1' has weights of shape \(3, 3, 3, 8\), the model \(3, 3, 3, 20\)"
    ):
        other.restore()


# A whole run --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("train")
    metrics = train(tiny(), root / "runs", root / "saved_models", verbose=0)
    return root, metrics


def test_a_run_leaves_what_it_should(finished):
    root, metrics = finished
    run = root / "runs" / "tiny"
    assert sorted(p.name for p in run.iterdir()) == [
        "card.json", "checkpoints", "config.yaml", "logs", "metrics.json", "model.keras",
    ]  # fmt: skip
    assert cfg.load(run / "config.yaml") == tiny()
    assert json.loads((run / "metrics.json").read_text()) == metrics
    saved = root / "saved_models" / "tiny"
    assert (saved / "saved_model.pb").is_file()
    assert [p.name for p in root.rglob(".*")] == []  # nothing temporary


def test_metrics_of_a_run(finished):
    _, metrics = finished
    assert set(metrics["validation"]) == {"top_1", "top_5", "f1", "f1_top_5"}
    assert list(metrics["class_f1"]) == CLASSES
    assert metrics["skipped"] == {"train": {}, "validation": {}}
    assert len(metrics["history"]) == metrics["epochs"] == 2
    assert all(math.isfinite(value) for record in metrics["history"] for value in record.values())
    best = metrics["history"][metrics["kept_epoch"] - 1]
    assert best["val_accuracy"] == pytest.approx(metrics["validation"]["top_1"])
    assert metrics["validation"]["top_5"] == 1  # three classes


def test_tensorboard_shows_the_history(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    root, metrics = finished
    for name, tag, key in [
        ("train", "epoch_loss", "loss"),
        ("train", "epoch_learning_rate", "learning_rate"),
        ("validation", "epoch_accuracy", "val_accuracy"),
    ]:
        events = EventAccumulator(str(root / "runs" / "tiny" / "logs" / name)).Reload().Tensors(tag)
        assert [event.step for event in events] == [0, 1]
        shown = [tf.make_ndarray(event.tensor_proto) for event in events]
        np.testing.assert_allclose(shown, [record[key] for record in metrics["history"]], rtol=1e-6)


def test_the_card_of_a_run(finished):
    root, metrics = finished
    card = load_card(root / "runs" / "tiny")
    assert card == load_card(root / "saved_models" / "tiny")
    assert card.class_names == tuple(CLASSES)
    assert (card.num_frames, card.size, card.dataset, card.layer) == (4, (8, 8), "shapes", "pool")
    assert card.reverse_labels == {0: 1, 1: 0, 2: 2}
    assert card.metrics == metrics["validation"]


def test_run_checkpoint_and_saved_model_agree(finished):
    root, metrics = finished
    clips = np.random.default_rng(0).random((2, 4, 8, 8, 3), np.float32)
    expected = load_model(root / "runs" / "tiny")(clips)
    np.testing.assert_allclose(load_model(root / "saved_models" / "tiny")(clips), expected, atol=1e-6)
    epoch = root / "runs" / "tiny" / "checkpoints" / f"epoch-{metrics['kept_epoch']:04d}"
    np.testing.assert_allclose(load_model(epoch)(clips), expected, atol=1e-6)


def test_a_finished_run_is_not_trained_again(finished):
    root, metrics = finished
    stamp = (root / "runs" / "tiny" / "model.keras").stat().st_mtime_ns
    assert train(tiny(), root / "runs", root / "saved_models", verbose=0) == metrics
    assert (root / "runs" / "tiny" / "model.keras").stat().st_mtime_ns == stamp


def test_a_run_is_not_overwritten_by_another(finished):
    root, metrics = finished
    with pytest.raises(ConfigError, match=r"other settings \(train\.epochs: 2, now 3\).*--overwrite"):
        train(tiny(train__epochs=3), root / "runs", root / "saved_models", verbose=0)
    with pytest.raises(ConfigError, match=r"saved_models/tiny exists already"):
        train(tiny(), root / "elsewhere", root / "saved_models", verbose=0)
    assert json.loads((root / "runs" / "tiny" / "metrics.json").read_text()) == metrics


def copies(finished, tmp_path):
    return [shutil.copytree(finished[0] / name, tmp_path / name) for name in ("runs", "saved_models")]


def assert_same_history(metrics, expected):
    for record, other in zip(metrics["history"], expected["history"], strict=True):
        assert record == pytest.approx(other, rel=1e-4)


@pytest.mark.long
def test_an_extended_run_equals_a_long_one(finished, tmp_path):
    """State of dropout and Adam, order of the clips, history, logs, kept epoch and model."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    whole = train(tiny(train__epochs=4), tmp_path / "whole", tmp_path / "whole_saved", verbose=0)
    runs, saved = copies(finished, tmp_path)
    metrics = train(tiny(train__epochs=4), runs, saved, extend=True, verbose=0)
    assert metrics["history"][:2] == finished[1]["history"]
    assert_same_history(metrics, whole)
    assert (metrics["epochs"], metrics["kept_epoch"]) == (4, whole["kept_epoch"])
    assert json.loads((runs / "tiny" / "metrics.json").read_text()) == metrics
    assert cfg.load(runs / "tiny" / "config.yaml") == tiny(train__epochs=4)
    for folder, other in ((runs, tmp_path / "whole"), (saved, tmp_path / "whole_saved")):
        for ours, theirs in zip(load_model(folder / "tiny").weights, load_model(other / "tiny").weights, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    events = EventAccumulator(str(runs / "tiny" / "logs" / "train")).Reload().Tensors("epoch_loss")
    assert [event.step for event in events] == [0, 1, 2, 3]
    # The same command again, with --extend or without it: nothing is left to do.
    assert train(tiny(train__epochs=4), runs, saved, extend=True, verbose=0) == metrics
    assert train(tiny(train__epochs=4), runs, saved, verbose=0) == metrics


@pytest.mark.long
def test_an_extended_run_that_is_stopped_goes_on(finished, tmp_path, monkeypatch):
    """Until it ends, the results of the shorter run stay; then they are replaced."""
    runs, saved = copies(finished, tmp_path)
    on_epoch_begin = StopOnNaN.on_epoch_begin

    def dying(self, epoch, logs=None):
        if epoch == 3:
            raise KeyboardInterrupt
        on_epoch_begin(self, epoch, logs)

    monkeypatch.setattr(StopOnNaN, "on_epoch_begin", dying)
    with pytest.raises(KeyboardInterrupt):
        train(tiny(train__epochs=4), runs, saved, extend=True, verbose=0)
    monkeypatch.undo()
    assert json.loads((runs / "tiny" / "metrics.json").read_text()) == finished[1]
    metrics = train(tiny(train__epochs=4), runs, saved, verbose=0)
    assert metrics["epochs"] == 4 and metrics["history"][:2] == finished[1]["history"]


@pytest.mark.long
def test_an_extended_cosine_goes_on_with_the_rates_of_the_long_run(tmp_path, capsys):
    schedule = {"train__schedule": "cosine", "train__learning_rate": 1e-3, "train__min_learning_rate": 0}
    folders = tmp_path / "runs", tmp_path / "saved"
    short = train(tiny(train__epochs=1, **schedule), *folders, verbose=0)
    capsys.readouterr()
    rates = [record["learning_rate"] for record in short["history"]]
    metrics = train(tiny(train__epochs=4, **schedule), *folders, extend=True, verbose=0)
    rates += [record["learning_rate"] for record in metrics["history"][1:]]
    # Of the next step after each epoch: cos^2 of the share of the way, in quarters of a right angle.
    np.testing.assert_allclose(rates, [0, 5e-4, 1e-3 * math.sin(math.pi / 8) ** 2, 0], atol=1e-9)
    assert (
        "epochs up to 1 were trained with the learning rates of a run of 1 epochs, further" in capsys.readouterr().out
    )


def test_what_cannot_be_extended_is_one_line(finished, tmp_path):
    runs, saved = finished[0] / "runs", finished[0] / "saved_models"
    for options, extend, said in [
        ({"train__epochs": 3}, False, r"\(train\.epochs: 2, now 3\); continue to epoch 3 with --extend, give this one"),
        ({"train__epochs": 1}, True, r"\(train\.epochs: 2, now 1\); give this one another name"),
        ({"train__epochs": 3, "seed": 1}, True, r"\(seed: 0, now 1\); give this one another name"),
        ({"train__epochs": 3, "seed": 1}, False, r"\(seed: 0, now 1\); give this one another name"),
    ]:
        with pytest.raises(ConfigError, match=said):
            train(tiny(**options), runs, saved, extend=extend, verbose=0)
    with pytest.raises(ConfigError, match="expected a run to extend, got none"):
        train(tiny(), tmp_path, saved, extend=True, verbose=0)
    with pytest.raises(ConfigError, match="expected one of them, got both"):
        train(tiny(), runs, saved, extend=True, overwrite=True, verbose=0)
    assert json.loads((runs / "tiny" / "metrics.json").read_text()) == finished[1]


def test_the_command_extends(finished, tmp_path, capsys):
    from tfvid.cli import train as command

    (tmp_path / "tiny.yaml").write_text(cfg.to_yaml(tiny()))
    arguments = ["--config", str(tmp_path / "tiny.yaml"), "--saved-models", str(finished[0] / "saved_models")]
    with pytest.raises(ConfigError, match="expected a run to extend, got none"):
        command.main([*arguments, "--runs", str(tmp_path), "--extend"])
    command.main([*arguments, "--runs", str(finished[0] / "runs"), "--extend"])
    assert "of 2: top_1" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.main([*arguments, "--overwrite", "--extend"])
    assert "not allowed with argument --overwrite" in capsys.readouterr().err


def test_a_run_stopped_within_its_first_epoch_has_its_settings_too(tmp_path):
    Run(tiny(), tmp_path, tmp_path / "saved").begin()
    (tmp_path / "tiny" / "checkpoints" / "within-0001").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"other settings \(seed: 0, now 1\)"):
        Run(tiny(seed=1), tmp_path, tmp_path / "saved")


@pytest.mark.long
def test_mixed_precision_trains_and_saves_float32(tmp_path):
    config = tiny(
        **CONV_LSTM, train__mixed_precision=True, train__epochs=1, train__schedule="cosine", train__keep="last"
    )
    metrics = train(config, tmp_path / "runs", tmp_path / "saved", verbose=0)
    assert metrics["precision"] == "mixed_bfloat16"
    model = load_model(tmp_path / "saved" / "tiny")
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert {weight.dtype for weight in model.weights} == {"float32"}


@pytest.mark.long
def test_a_run_trains_in_fast_layers(tmp_path, monkeypatch):
    fit, inside = keras.Model.fit, []

    def watched(model, *args, **kwargs):
        inside.append({type(layer) for layer in model.layers if "call" in vars(layer)})
        return fit(model, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "fit", watched)
    train(tiny(**CONV_LSTM, train__epochs=1), tmp_path / "runs", tmp_path / "saved", verbose=0)
    assert inside == [{keras.layers.ConvLSTM2D, keras.layers.BatchNormalization}]
    assert load_card(tmp_path / "runs" / "tiny").layer == "conv_lstm_1"
    clips = np.random.default_rng(0).random((2, 4, 8, 8, 3), np.float32)
    ran, saved = (load_model(tmp_path / folder / "tiny")(clips) for folder in ("runs", "saved"))
    np.testing.assert_allclose(saved, ran, atol=1e-6)


def test_overwrite_starts_over(finished, tmp_path):
    metrics = train(tiny(train__epochs=1, seed=1), *copies(finished, tmp_path), verbose=0, overwrite=True)
    assert metrics["epochs"] == 1
    assert cfg.load(tmp_path / "saved_models" / "tiny" / "assets.extra" / "config.yaml").seed == 1


@pytest.mark.long
def test_a_mistake_can_be_corrected(tmp_path):
    """A run that failed before its first epoch holds nothing, and does not stand in the way."""
    folders = tmp_path / "runs", tmp_path / "saved"
    with pytest.raises(ModelError, match="did you mean 'filters'"):
        train(tiny(model__options={"filter": 2}), *folders, verbose=0)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(TfvidError, match="the loss became"):
        train(tiny(train__learning_rate=1e30, train__optimizer="sgd"), *folders, verbose=0)
    assert train(tiny(train__epochs=1), *folders, verbose=0)["epochs"] == 1
    assert cfg.load(tmp_path / "runs" / "tiny" / "config.yaml") == tiny(train__epochs=1)


def test_initial_weights_are_where_training_starts(tmp_path):
    start = built(tiny(seed=7))
    start.save(tmp_path / "start.keras")
    config = tiny(
        model__weights=str(tmp_path / "start.keras"),
        train__learning_rate=1e-12,
        train__min_learning_rate=0,
        train__epochs=1,
    )
    train(config, tmp_path / "runs", tmp_path / "saved", verbose=0)
    trained = load_model(tmp_path / "runs" / "tiny")
    for ours, theirs in zip(trained.trainable_weights, start.trainable_weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_split_that_is_not_there(tmp_path):
    with pytest.raises(TfvidError, match="did you mean 'validation'"):
        train(tiny(train__validation_split="validatoin"), tmp_path / "runs", tmp_path / "saved", verbose=0)


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path):
    config = tiny(train__learning_rate=1e30, train__optimizer="sgd")
    with pytest.raises(TfvidError, match=r"the loss became (nan|inf) in epoch 1, .* learning rate 1e\+30") as caught:
        train(config, tmp_path / "runs", tmp_path / "saved", verbose=0)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "runs" / "tiny" / "checkpoints").iterdir()) == []
    assert not (tmp_path / "saved").exists()


def test_a_loss_that_breaks_in_the_last_step_is_found_by_the_validation():
    guard = StopOnNaN()
    guard.set_model(compiled())
    guard.on_epoch_begin(6)
    guard.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(TfvidError, match="the loss became nan in epoch 7, validation"):
        guard.on_epoch_end(6, {"loss": 1.0, "val_loss": math.nan})


@pytest.mark.long
def test_plateau_sets_the_rate_that_the_history_asks_for(tmp_path):
    config = tiny(
        train__schedule="plateau", train__plateau_patience=1, train__epochs=4, train__learning_rate=1e-6
    )  # too slow to change any answer
    history = train(config, tmp_path / "runs", tmp_path / "saved", verbose=0)["history"]
    expected = [
        plateau_rate([record["val_accuracy"] for record in history[:epoch]], initial=1e-6, patience=1, minimum=1e-8)
        for epoch in range(4)
    ]
    assert expected[0] == 1e-6 and expected[-1] < 1e-6
    np.testing.assert_allclose([record["learning_rate"] for record in history], expected, rtol=1e-6)


def test_clips_that_cannot_be_read_are_skipped_and_listed_or_stop_the_run(tmp_path):
    folder = tmp_path / "clips"
    for split in ("train", "validation"):
        for name in ("a", "b"):
            for number in range(3):
                write_video(folder / split / name / f"{number}.avi", 6)
    (folder / "train" / "a" / "0.avi").write_bytes(b"not a video")
    config = tiny(
        data__dataset="folder", data__root=str(folder), data__options={}, data__max_bad_share=0.2, train__epochs=1
    )
    metrics = train(config, tmp_path / "runs", tmp_path / "saved", verbose=0)
    assert len(metrics["skipped"]["train"]) == 1 and not metrics["skipped"]["validation"]
    strict = tiny(
        name="strict", data__dataset="folder", data__root=str(folder), data__options={}, data__max_bad_share=0.1
    )
    with pytest.raises(TfvidError, match="1 of 6 clips cannot be read") as caught:
        train(strict, tmp_path / "runs", tmp_path / "saved", verbose=0)
    assert "\n" not in str(caught.value)


@pytest.mark.long
def test_damaged_clips_are_printed_kept_and_limited(tmp_path, capsys):
    data = {"data__dataset": damaged_dataset(tmp_path, ["train-1"], 2), "data__options": {}}
    config = tiny(**data, train__epochs=2)
    metrics = train(config, tmp_path / "runs", tmp_path / "saved", verbose=2)
    assert metrics["damaged"] == {"train": {"train-1": "ends early"}, "validation": {}}
    lines = capsys.readouterr().out.splitlines()
    told = [
        number
        for number, line in enumerate(lines)
        if line == "train: 1 clip comes from a damaged file: train-1 (ends early)"
    ]
    assert len(told) == 1 and lines[told[0] - 1].startswith("epoch 1 of 2: ")
    state = json.loads((tmp_path / "runs" / "tiny" / "checkpoints" / "epoch-0002" / "state.json").read_text())
    assert state["damaged"] == metrics["damaged"]
    strict = tiny(name="strict", **data, data__max_damaged_share=0.4)
    with pytest.raises(TfvidError, match=r"1 of 2 clips come from damaged files, more than .* \(max_damaged_share\)"):
        train(strict, tmp_path / "runs", tmp_path / "saved", verbose=0)


def test_real_clips_train_and_are_measured(shared_data, tmp_path):
    """Sequences of KTH, six videos in all, through the whole of training and evaluation."""
    from tfvid.cli import evaluate

    config = tiny(
        data__dataset="kth",
        data__root=str(shared_data / "kth_sample"),
        data__options={"whole_files": True, "train_subjects": [24, 25], "validation_subjects": list(range(17, 24))},
        data__size=[24, 32],
        train__epochs=1,
    )
    metrics = train(config, tmp_path / "runs", tmp_path / "saved", verbose=0)
    assert metrics["skipped"] == {"train": {}, "validation": {}}
    evaluate.main(["--model", str(tmp_path / "runs" / "tiny"), "--out", str(tmp_path / "out")])
    results = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert results["playbacks"]["forward"]["top_1"] == metrics["validation"]["top_1"]
    assert "swapped_top_1" not in results["playbacks"]["reversed"]  # KTH declares no reversed labels
