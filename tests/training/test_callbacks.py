"""ExplanationLogger: what it writes, that it goes on after a kill, and that no training notices it."""

import csv
import json
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from disk import full_disk
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from tfvid import callbacks
from tfvid.callbacks import ExplanationLogger, is_chief
from tfvid.core.errors import DataError, StillClipWarning, TfvidError
from tfvid.explain.cam.grad_cam import GradCAM
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.perturb.temporal import freeze

ROOT = Path(__file__).resolve().parents[2]
CLIPS = toy_models.clips(3)
LABELS = [0, 1, 2]
MASK = {"method": "temporal_mask", "iterations": 3}


def compiled(build="functional", optimizer="sgd", **options):
    model = toy_models.build(build) if isinstance(build, str) else build
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, **options)
    return model


def fit(model, logger, epochs=2, **options):
    """`epochs` of 4 steps."""
    options = {"batch_size": 2, "verbose": 0, "shuffle": False} | options
    return model.fit(
        toy_models.clips(8, seed=1), np.arange(8) % 3, epochs=epochs, callbacks=[logger], **options
    ).history


def column(logger, name, **equal):
    return [row[name] for row in logger.table if all(row[key] == value for key, value in equal.items())]


def summaries(folder):
    """(tag, step) of all that was written."""
    return [(value.tag, step) for value, step in values(folder)]


def values(folder):
    """All that was written, each with its step."""
    files = sorted((folder / "explain").iterdir())
    events = [event for file in files for event in EventFileLoader(str(file)).Load()]
    return [(value, event.step) for event in events for value in event.summary.value]


# What it writes -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """Two epochs of one model, everything given."""
    folder = tmp_path_factory.mktemp("logged")
    model = compiled()
    before = TemporalMask(model, iterations=3)(CLIPS, target=LABELS, labels=LABELS)
    logger = ExplanationLogger(
        {"mask": MASK, "grad_cam": {"normalize": "frame"}},
        CLIPS,
        folder,
        labels=LABELS,
        class_names=["up", "down", "left"],
        ids=["a", "b", "c"],
        events=[[1, 3], [-1, -1], [0, 6]],
    )
    assert logger.table == []
    fit(model, logger)
    after = TemporalMask(model, iterations=3)(CLIPS, target=LABELS, labels=LABELS)
    return folder, logger, before, after


def test_a_row_for_each_moment_method_and_clip(logged):
    _, logger, *_ = logged
    keys = [(row["epoch"], row["method"], row["clip"]) for row in logger.table]
    assert keys == [(epoch, method, clip) for epoch in (0, 1, 2) for method in ("mask", "grad_cam") for clip in "abc"]


def test_the_first_row_is_the_untrained_model_and_the_last_the_trained_one(logged):
    _, logger, before, after = logged
    for epoch, expected in ((0, before), (2, after)):
        np.testing.assert_allclose(column(logger, "OS", epoch=epoch, method="mask"), expected.original_score, rtol=1e-3)
        np.testing.assert_allclose(column(logger, "FS", epoch=epoch, method="mask"), expected.freeze_score, rtol=1e-2)
        assert column(logger, "mask_length", epoch=epoch, method="mask") == (expected.mask > 0.5).sum(1).tolist()
    assert column(logger, "OS", epoch=0) != column(logger, "OS", epoch=2)


def test_what_stands_in_the_rows(logged):
    _, logger, *_ = logged
    for row in logger.table:
        assert row["label"] == row["target"] == {"a": "up", "b": "down", "c": "left"}[row["clip"]]
        assert row["predicted"] in ("up", "down", "left")
        if row["method"] == "mask":
            assert row["CS"] == row["OS"]  # the true class is the one explained
            assert row["drop"] == pytest.approx(row["OS"] - row["FS"], abs=1e-5)
            assert (row["temporal_iou"] is None) == (row["clip"] == "b")
            assert row["blob_count"] is None
        else:
            assert row["OS"] is row["mask_length"] is row["temporal_iou"] is None
            assert row["blob_count"] >= 0
            assert (row["blob_size"] is None) == (row["blob_count"] == 0)
    # A mask over the whole clip and an event that is: they fit each other as far as the mask is long.
    for row in logger.table:
        if row["method"] == "mask" and row["clip"] == "c":
            assert row["temporal_iou"] == pytest.approx(row["mask_length"] / 6, abs=1e-5)


def test_the_file_holds_the_table(logged):
    folder, logger, *_ = logged
    with open(folder / "explanations.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(logger.table) == 18
    for text, row in zip(rows, logger.table, strict=True):
        assert text == {key: "" if value is None else str(value) for key, value in row.items()}
    assert sorted(path.name for path in folder.iterdir()) == ["explain", "explanations.csv"]


def test_every_moment_is_in_the_summaries(logged):
    written = summaries(logged[0])
    for tag in ("mask/a", "mask/b", "mask/c", "grad_cam/a", "grad_cam/b", "grad_cam/c", "mask/OS", "mask/mask_length"):
        assert [step for name, step in written if name == tag] == [0, 1, 2]


def test_a_mask_is_shown_with_the_maps_of_the_other_explainer(logged):
    """When and where in one film; of the two, the maps' own entry has no mask."""
    written = {value.tag: tf.make_ndarray(value.tensor) for value, step in values(logged[0]) if step == 2}
    mask, grad_cam = (json.loads(written[f"{name}/a"][0]) for name in ("mask", "grad_cam"))
    assert (mask["method"], grad_cam["method"]) == ("mask, grad_cam", "grad_cam")
    assert mask["mask"] is not None and grad_cam["mask"] is None
    assert mask["map"] == grad_cam["map"] is not None


def test_each_explainer_is_traced_once(logged):
    explainers = logged[1]._explainers
    assert {name: explainer.traces for name, explainer in explainers.items()} == {"mask": 1, "grad_cam": 1}


@pytest.mark.long
def test_instances_and_names(tmp_path):
    model = compiled()
    logger = ExplanationLogger([GradCAM(model, pool="clip"), "temporal_mask"], CLIPS, tmp_path)
    fit(model, logger, epochs=1)
    assert column(logger, "method", epoch=1, clip="0") == ["grad_cam", "temporal_mask"]
    assert column(logger, "label") == [""] * 12
    assert column(logger, "target") == column(logger, "predicted")  # without labels it is the predicted class
    assert {int(name) for name in column(logger, "target")} <= {0, 1, 2}
    assert column(logger, "CS", method="temporal_mask") == [None] * 6


def test_predicted_class_on_request(tmp_path):
    model = compiled()
    fit(model, logger := ExplanationLogger({"m": MASK}, CLIPS, tmp_path, labels=[0, 0, 0], target="predicted"), 1)
    assert column(logger, "target") == column(logger, "predicted")
    assert set(column(logger, "target")) != {"0"} == set(column(logger, "label"))


@pytest.mark.parametrize("perturbation", ["reverse", lambda clips, mask: 1.5 * freeze(clips, mask)])
def test_other_perturbations(tmp_path, perturbation):
    """A user's own is logged as frames, cut to what a picture can show."""
    model = compiled()
    mask = TemporalMask(model, perturbation, iterations=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(model, ExplanationLogger([mask], CLIPS, tmp_path), 1)
    assert ("temporal_mask/2", 1) in summaries(tmp_path)


def test_every_second_epoch(tmp_path):
    fit(compiled(), logger := ExplanationLogger(["grad_cam"], CLIPS, tmp_path, 2), epochs=5)
    assert column(logger, "epoch", clip="0") == [0, 2, 4]


@pytest.mark.parametrize(("together", "steps"), [(1, [0, 3, 6]), (4, [0, 4, 8])])
def test_every_third_step(tmp_path, together, steps):
    """Counted through epochs of 4; where Keras takes 4 at once, after the ones that went past a third."""
    model = compiled(steps_per_execution=together)
    fit(model, logger := ExplanationLogger(["grad_cam"], CLIPS, tmp_path, 3, unit="step"))
    assert column(logger, "step", clip="0") == steps


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("sequential", "nested", "softmax")]


@pytest.mark.parametrize("build", ["mixed_precision", "subclassed", *LONG])
def test_builds_of_models(tmp_path, build):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=build != "softmax")
    model = toy_models.build(build)
    model.compile("adam", loss)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(model, logger := ExplanationLogger({"mask": MASK, "grad_cam": {"layer": "conv"}}, CLIPS, tmp_path), 1)
    assert len(logger.table) == 12 and None not in column(logger, "OS", method="mask")


# Going on -------------------------------------------------------------------------------------------------------


def test_a_resumed_training_goes_on_with_its_table(tmp_path):
    """Rows up to where it goes on are kept, later ones are of a training that is now done anew."""
    fit(compiled(), first := ExplanationLogger(["grad_cam"], CLIPS, tmp_path), epochs=4)
    kept = [row for row in first.table if row["epoch"] <= 2]
    logger = ExplanationLogger(["grad_cam"], CLIPS, tmp_path, labels=LABELS)
    fit(compiled(), logger, epochs=3, initial_epoch=2)
    assert column(logger, "epoch", clip="0") == [0, 1, 2, 3]
    assert logger.table[: len(kept)] == kept
    assert column(logger, "label", epoch=3) == ["0", "1", "2"]  # made anew: the first one had no labels
    assert column(logger, "label", epoch=2) == ["", "", ""]


def test_a_logger_new_to_a_training_begins_where_that_is(tmp_path):
    fit(compiled(), logger := ExplanationLogger(["grad_cam"], CLIPS, tmp_path), epochs=4, initial_epoch=3)
    assert column(logger, "epoch", clip="0") == [3, 4]


@pytest.mark.parametrize("gathered", [None, 2])
def test_steps_go_on_by_the_optimizer(tmp_path, gathered):
    """One step is one batch, also where the optimizer gathers the gradients of two."""
    model = compiled(optimizer=keras.optimizers.SGD(gradient_accumulation_steps=gathered))
    fit(model, ExplanationLogger(["grad_cam"], CLIPS, tmp_path, 3, unit="step"), epochs=1)
    fit(model, logger := ExplanationLogger(["grad_cam"], CLIPS, tmp_path, 3, unit="step"), epochs=2, initial_epoch=1)
    assert column(logger, "step", clip="0") == [0, 3, 6]


def test_one_logger_for_two_trainings(tmp_path):
    """Not traced again for the same model."""
    model, logger = compiled(), ExplanationLogger(["grad_cam"], CLIPS, tmp_path)
    fit(model, logger, epochs=1)
    fit(model, logger, epochs=2, initial_epoch=1)
    assert column(logger, "epoch", clip="0") == [0, 1, 2]
    assert logger._explainers["grad_cam"].traces == 1


# What goes wrong ------------------------------------------------------------------------------------------------


class Failing(GradCAM):
    """Explains once, then no more."""

    calls = 0

    def _compute(self, clips, target):
        self.calls += 1
        if self.calls > 1:
            raise RuntimeError("out of\nluck")
        return super()._compute(clips, target)


def test_a_still_clip_is_told_once_and_not_at_each_epoch(tmp_path):
    clips = CLIPS.copy()
    clips[1] = clips[1, :1]
    with pytest.warns(StillClipWarning, match="^clip 1: all frames are identical"):
        logger = ExplanationLogger({"mask": MASK}, clips, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", StillClipWarning)
        fit(compiled(), logger, epochs=1)
    assert len(column(logger, "clip")) == 6


def test_an_explainer_that_fails_is_switched_off_with_one_warning(tmp_path):
    model = compiled()
    logger = ExplanationLogger([Failing(model), "grad_cam"], CLIPS, tmp_path)
    with pytest.warns(RuntimeWarning) as caught:
        history = fit(model, logger, epochs=3)
    messages = [str(warning.message) for warning in caught]
    assert messages == [
        "explainer 'Failing' failed at epoch 1 and is switched off; training continues (RuntimeError: out of luck)"
    ]
    assert len(history["loss"]) == 3
    assert column(logger, "epoch", method="Failing", clip="0") == [0]
    assert column(logger, "epoch", method="grad_cam", clip="0") == [0, 1, 2, 3]


def bad(**changes):
    """Arguments of a logger, one of them wrong."""
    return {"explainers": ["grad_cam"], "clips": CLIPS, "labels": LABELS} | changes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (bad(clips=CLIPS[0]), r"clips: expected shape \(B, T, H, W, 3\), got \(6, 8, 8, 3\)"),
        (bad(clips=CLIPS[..., :1]), r"clips: expected shape"),
        (bad(clips=CLIPS[:0]), r"clips: expected shape"),
        (bad(clips=(255 * CLIPS).astype(np.uint8)), "divide uint8 clips by 255"),
        (bad(clips=255 * CLIPS), r"clips: expected floats in \[0, 1\], got"),
        (bad(clips=CLIPS * np.nan), r"clips: expected floats in \[0, 1\], got nan"),
        (bad(labels=[0, 1]), "labels: expected 3 classes"),
        (bad(labels=[0, 1, -2]), "labels: expected 3 classes"),
        (bad(labels=[0.0, 1.0, 2.0]), "labels: expected 3 classes"),
        (bad(labels=[0, 1, -1], target="true"), "target 'true' needs the label of every clip"),
        (bad(labels=None, target="true"), "target 'true' needs the label of every clip"),
        (bad(target="best"), "unknown target 'best'"),
        (bad(unit="epochs"), "did you mean 'epoch'"),
        (bad(every=0), "every: expected a whole number of epochs, 1 or more, got 0"),
        (bad(every=1.5), "every: expected"),
        (bad(ids=["a", "b"]), "ids: expected 3 different names"),
        (bad(ids=["a", "b", "a"]), "ids: expected 3 different names"),
        (bad(events=[[0, 1]]), r"events: expected ints of shape \(3, 2\)"),
        (bad(events=[[0, 1], [2, 7], [0, 1]]), r"within 6 frames or \(-1, -1\), got \[2, 7\]"),
        (bad(events=[[0, 1], [2, 2], [0, 1]]), r"got \[2, 2\]"),
        (bad(explainers=[]), "explainers: expected a list"),
        (bad(explainers="grad_cam"), "explainers: expected a list"),
        (bad(explainers=["grad_kam"]), "did you mean 'grad_cam'"),
        (bad(explainers={"cam": {}}), "unknown explainer 'cam'"),
        (bad(explainers=["grad_cam", "grad_cam"]), "two have the name 'grad_cam'"),
        (bad(explainers=[GradCAM]), "expected options or an Explainer, got ABCMeta"),
    ],
)
def test_arguments_that_do_not_fit_each_other(tmp_path, arguments, message):
    with pytest.raises(TfvidError, match=message):
        ExplanationLogger(**arguments, log_dir=tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (bad(clips=CLIPS[:, :4]), r"the model takes clips of shape .* got \(3, 4, 8, 8, 3\)"),
        (bad(labels=[0, 1, 3]), "labels: expected classes up to 2, got 3"),
        (bad(class_names=["a", "b"]), "class_names: expected 3, one for each class, got 2"),
        (bad(explainers={"grad_cam": {"power": 2}}), "explainer 'grad_cam' cannot be used: .*'power'"),
        (bad(explainers={"grad_cam": {"pool": "max"}}), "explainer 'grad_cam' cannot be used: .*unknown pool 'max'"),
    ],
)
def test_arguments_that_do_not_fit_the_model_stop_it_before_the_first_step(tmp_path, arguments, message):
    model = compiled()
    before = model.get_weights()
    with pytest.raises(TfvidError, match=message):
        fit(model, ExplanationLogger(**arguments, log_dir=tmp_path / "logs"))
    assert int(model.optimizer.iterations) == 0
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    model = compiled()
    with pytest.raises(TfvidError, match=r"log_dir: cannot write to .*file/logs/explain"):
        fit(model, ExplanationLogger(["grad_cam"], CLIPS, tmp_path / "file" / "logs"))
    assert int(model.optimizer.iterations) == 0


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "", b"\xff\xfe", "step"])
def test_another_file_in_the_place_of_the_table(tmp_path, content):
    path = tmp_path / "explanations.csv"
    if content == "step":
        fit(compiled(), ExplanationLogger(["grad_cam"], CLIPS, tmp_path, unit="step"), epochs=1)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"explanations.csv: "):
        fit(compiled(), ExplanationLogger(["grad_cam"], CLIPS, tmp_path))
    assert path.read_bytes() == before


def test_a_disk_that_fills_up_and_is_cleared(tmp_path):
    """One warning while nothing can be written; later rows and summaries come, and the table lacks nothing."""

    class Disk(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.full = full_disk(0)
                self.full.__enter__()
            if epoch == 3:
                self.full.__exit__(None, None, None)

    logger = ExplanationLogger(["grad_cam"], CLIPS, tmp_path)
    with pytest.warns(RuntimeWarning) as caught:
        fit(compiled(), [Disk(), logger], epochs=4)
    assert len(caught) == 1 and "cannot write explanations; training continues" in str(caught[0].message)
    assert [row["epoch"] for row in logger.table if row["clip"] == "0"] == [0, 1, 2, 3, 4]
    assert (tmp_path / "explanations.csv").read_text().count("\n") == 1 + 5 * 3
    steps = {step for tag, step in summaries(tmp_path) if tag == "grad_cam/0"}
    assert {0, 1, 4} <= steps
    assert sorted(path.name for path in tmp_path.iterdir()) == ["explain", "explanations.csv"]


# One of many ----------------------------------------------------------------------------------------------------


class Strategy:
    """What `is_chief` looks at."""

    def __init__(self, resolver):
        self.cluster_resolver = resolver


@pytest.mark.parametrize(
    ("jobs", "task", "index", "expected"),
    [
        ({"worker": 2}, "worker", 0, True),
        ({"worker": 2}, "worker", 1, False),
        ({"chief": 1, "worker": 2}, "chief", 0, True),
        ({"chief": 1, "worker": 2}, "worker", 0, False),
        ({"chief": 1, "worker": 1, "ps": 1}, "ps", 0, False),
        ({"worker": 2, "evaluator": 1}, "evaluator", 0, False),
    ],
)
def test_the_chief_of_a_cluster(monkeypatch, jobs, task, index, expected):
    cluster = {job: [f"host:{job}{i}" for i in range(count)] for job, count in jobs.items()}
    spec = tf.train.ClusterSpec(cluster)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(spec, task_type=task, task_id=index)
    assert is_chief(Strategy(resolver)) is expected
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": task, "index": index}}))
    assert is_chief(tf.distribute.get_strategy()) is expected


def test_a_process_alone_is_the_chief():
    assert is_chief(tf.distribute.get_strategy())


def test_others_than_the_chief_neither_explain_nor_write(tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "is_chief", lambda strategy: False)
    logger = ExplanationLogger(["grad_cam"], CLIPS, tmp_path / "logs")
    fit(compiled(), logger)
    assert logger.table == [] and not (tmp_path / "logs").exists()


# No training notices it -----------------------------------------------------------------------------------------

# Two trainings, one of them with a logger, with everything in them that has a state. Op determinism is of a whole
# process, so they run in one of their own.
TRAININGS = """
import json, random, sys, warnings
import keras, numpy as np, tensorflow as tf
sys.path.insert(0, "tests")
import toy_models
from tfvid.callbacks import ExplanationLogger
from tfvid.explain.cam.grad_cam import GradCAM

how, folder = sys.argv[1:]
warnings.simplefilter("error", RuntimeWarning)
tf.config.experimental.enable_op_determinism()
if how == "mirrored":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, 2 * [tf.config.LogicalDeviceConfiguration()])


class Rude(GradCAM):
    '''Draws from every source, runs the model in training mode and changes its weights.'''

    def _compute(self, clips, target):
        model = self.classifier.model
        draws()
        keras.utils.set_random_seed(5)
        model(clips, training=True)
        for variable in [*model.variables, *model.optimizer.variables, *model.metrics_variables]:
            variable.assign(variable + 1)
        return super()._compute(clips, target)


def draws():
    numbers = [random.random(), np.random.rand(), tf.random.normal((2,)), tf.random.normal((2,))]
    numbers += [keras.random.normal((2,)), tf.random.get_global_generator().normal((2,))]
    return [np.asarray(number).tolist() for number in numbers]


class Draws(keras.callbacks.Callback):
    '''A training whose own callbacks draw numbers; it also stops it, which the logger does not undo.'''

    def __init__(self):
        self.drawn = []

    def on_train_batch_begin(self, batch, logs=None):
        self.drawn.append(draws())

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 2


def network():
    layers = [
        keras.layers.GaussianNoise(0.1), keras.layers.Conv3D(4, 3, activation="relu", name="conv"),
        keras.layers.BatchNormalization(), keras.layers.Dropout(0.5), keras.layers.Flatten(), keras.layers.Dense(3),
    ]
    return keras.Sequential(([] if how == "deferred" else [keras.Input(toy_models.SHAPE)]) + layers)


def train(*loggers):
    keras.utils.set_random_seed(1)
    tf.random.set_global_generator(tf.random.Generator.from_seed(1))
    strategy = tf.distribute.MirroredStrategy() if how == "mirrored" else tf.distribute.get_strategy()
    with strategy.scope():
        model = network()
        model.compile(
            keras.optimizers.SGD(0.05, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"],
        )
    data = tf.data.Dataset.from_tensor_slices((toy_models.clips(12, seed=1), np.arange(12) % 3)).shuffle(12)
    data = data.map(lambda clip, label: (clip + tf.random.normal((), stddev=0.1), label)).batch(4)
    callback = Draws()
    history = model.fit(data, validation_data=data, epochs=5, verbose=0, callbacks=[*loggers, callback]).history
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    state = [np.asarray(variable).tobytes().hex() for variable in variables]
    generators = [str(variable.path) for variable in model.variables if "seed_generator" in variable.path]
    return {"history": history, "drawn": callback.drawn, "after": draws(), "state": state, "generators": generators}


mask = {"method": "temporal_mask", "iterations": 3}
clips, options = toy_models.clips(3), {"labels": [0, 1, 2], "every": 1}
without = train()
logger = ExplanationLogger({"mask": mask, "grad_cam": {}}, clips, folder + "/epochs", **options)
results = [without, train(logger)]
rows = [len(logger.table)]
if how == "plain":
    logger = ExplanationLogger(["grad_cam"], clips, folder + "/steps", unit="step", **options)
    results.append(train(logger))
    rows.append(len(logger.table))


class Late(ExplanationLogger):
    '''Builds its rude explainer when the model is there.'''

    def on_train_begin(self, logs=None):
        self._wanted = {"rude": Rude(self.model)}
        super().on_train_begin(logs)


if how != "deferred":
    results.append(train(Late(["grad_cam"], clips, folder + "/rude", **options)))
keys = ("history", "drawn", "after", "state")
different = [[key for key in keys if result[key] != without[key]] for result in results[1:]]
losses = without["history"]["loss"]
print(json.dumps({"different": different, "rows": rows, "losses": losses, "generators": without["generators"]}))
"""


@pytest.mark.long
@pytest.mark.parametrize(
    "how", ["plain", *(pytest.param(how, marks=pytest.mark.long) for how in ("deferred", "mirrored"))]
)
def test_a_training_is_bit_identical_with_and_without(forks, tmp_path, how):
    """Weights, optimizer, batch norm, dropout's seeds, metrics, and what everyone else draws.

    After each epoch, after each step, and with an explainer that disturbs whatever it can; for a model that is built
    only when it is trained; and under a strategy of two devices.
    """
    done = forks.run(TRAININGS, how, tmp_path, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["different"] == [[] for _ in result["different"]]
    assert len(result["losses"]) == 3  # it was stopped
    assert len(set(result["losses"])) == 3
    assert len(result["generators"]) == 2
    assert result["rows"] == ([4 * 6, 10 * 3] if how == "plain" else [4 * 6])
