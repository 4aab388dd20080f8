"""A Keras callback that explains the same clips again and again while a model trains.

    fit ── every n epochs ──► explainers(clips) ──► TensorBoard, explanations.csv

So one sees when in training the model began to look at the event.
"""

import inspect
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvid.core.errors import StillClipWarning, TfvidError, check_choice, error_line
from tfvid.explain import EXPLAINERS, explainer
from tfvid.explain.base import Explainer, Explanation
from tfvid.metrics.masks import still_clips
from tfvid.network.model_format import checked_range, declare
from tfvid.network.undisturbed import undisturbed
from tfvid.network.video_model import VideoModel
from tfvid.perturb.temporal import freeze, reverse
from tfvid.results.explanation_table import ExplanationTable, Row, explanation_rows
from tfvid.tensorboard import summary

TABLE = "explanations.csv"
SUMMARIES = "explain"


class ExplanationLogger(keras.callbacks.Callback):
    """Explains a fixed set of clips while `fit` runs: once before the first step, then every n epochs or steps.

    Explanations go to ``<log_dir>/explain`` for TensorBoard, and a row for each clip to ``<log_dir>/explanations.csv``
    and `table`; see docs/callbacks.md for its columns. Moments are counted in epochs (or steps) done: 0 is the
    untrained model. A training that goes on (``initial_epoch=5``) keeps the rows up to there and replaces those of
    what it repeats.

    The training is not disturbed: with this callback or without it, weights, optimizer, batch norm statistics, random
    state and metrics are the same. An explainer that fails is switched off with one warning, and so is writing to
    a disk that is full, until there is room again. What can be told to be wrong before the first step is an error.
    Under a `tf.distribute` strategy of several workers, only the chief explains and writes.

    Put it before a callback that saves the training's state, so that no moment is missing after a kill, and after one
    that measures time: Keras counts all that happens within an epoch.

    Args:
      explainers: what to explain with: a list of names (``"grad_cam"``) and `Explainer` instances, built on the model
        in training; or, by the name to show, an instance or a dict of options, whose "method" is the shown name
        where it is not given: ``{"grad_cam": {}, "mask": {"method": "temporal_mask", "iterations": 100}}``.
      clips: float `(B, T, H, W, 3)` in [0, 1], RGB. A few: they are explained each time.
      log_dir: made if it is not there.
      every: epochs (or steps) between two explanations.
      labels: the true classes, ints `(B,)`, -1 where not known.
      unit: "epoch", or "step", a batch trained on.
      target: the class explained, "true" or, anew each time, "predicted"; None is "true" where all labels are known.
        With "true", what is seen to change over the epochs is the model, not the question.
      class_names: in the order of the model's scores; without them classes go by their number.
      ids: names of the clips, B strings; default "0" to "B-1".
      events: int `(B, 2)`, the known event as [start, stop) in frames; (-1, -1) where it is not known.
      input_range: the values (low, high) that the model is trained on for black and white, e.g. (0, 255) or (-1, 1);
        the clips are scaled to them, see `Explainer`. "auto": what was declared of the model, or its first layers say.
      video_model: a `tfvid.VideoModel` of the model in training, for a model with several inputs, another layout or a
        score of its own. None: the model takes clips `(B, T, H, W, C)` and returns class scores.

    Attributes:
      table: the rows as a list of dicts, those of earlier runs in `log_dir` too; empty before training begins.

    Raises:
      TfvidError: clips, labels, ids or events that do not fit each other or, when training begins, the model; an
        explainer that does not exist or cannot explain this model; a folder that cannot be written.

    Example:
      >>> logger = ExplanationLogger(["temporal_mask", "grad_cam"], clips, "logs", labels=labels)
      >>> model.fit(data, epochs=10, callbacks=[logger])
    """

    def __init__(
        self,
        explainers: Sequence[str | Explainer] | Mapping[str, Explainer | Mapping],
        clips,
        log_dir: str | Path,
        every: int = 1,
        labels=None,
        *,
        unit: str = "epoch",
        target: str | None = None,
        class_names: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
        events=None,
        input_range="auto",
        video_model: VideoModel | None = None,
    ):
        super().__init__()
        check_choice("unit", unit, ("epoch", "step"))
        check_choice("target", target, ("true", "predicted", None))
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise TfvidError(f"every: expected a whole number of {unit}s, 1 or more, got {every!r}")
        self.every, self.unit, self.log_dir = every, unit, Path(log_dir)
        self.clips, self.input_range = _unit_clips(clips), checked_range(input_range)
        self.video_model = video_model
        count, num_frames = self.clips.shape[:2]
        self.labels = _labels(labels, count)
        for place in np.flatnonzero(still_clips(self.clips))[:1]:
            message = f"clip {place}: all frames are identical, so masks over time say nothing about it"
            warnings.warn(message, StillClipWarning, stacklevel=2)
        self.events = _events(events, count, num_frames)
        self.ids = _ids(ids, count)
        self.class_names = None if class_names is None else [str(name) for name in class_names]
        known = self.labels is not None and (self.labels >= 0).all()
        if target == "true" and not known:
            raise TfvidError("target 'true' needs the label of every clip")
        self.target = target or ("true" if known else "predicted")
        self._wanted = _by_name(explainers)
        # Keras may then run ahead of the callbacks, as it does without this one. Counting steps it may not.
        self.async_safe = unit == "epoch"
        self._active = False
        self._explained = None  # the model that `_explainers` are built on
        self._explainers: dict[str, Explainer] = {}
        self._table: ExplanationTable | None = None
        self._writer: tf.summary.SummaryWriter | None = None
        self._warned_of_disk = False

    @property
    def table(self) -> list[Row]:
        return [] if self._table is None else self._table.rows

    # What Keras calls -------------------------------------------------------------------------------------------

    def on_train_begin(self, logs=None):
        self._active, self._begun = is_chief(self.model.distribute_strategy), False
        if not self._active:
            return
        if self._explained is not self.model:
            with undisturbed(self.model):
                self._explainers = self._build()
            self._explained = self.model
        _check_writable(self.log_dir / SUMMARIES)
        self._table = ExplanationTable(self.log_dir / TABLE, self.unit)

    def on_epoch_begin(self, epoch, logs=None):
        if not self._active:
            return
        if not self._begun:  # only now is it known at which epoch the training begins
            self._begun, self._step = True, _steps_done(self.model.optimizer)
            now = epoch if self.unit == "epoch" else self._step
            self._table.forget_after(now)
            if now == 0 or not self._table.rows:
                self._explain(now)
        self._epoch_start = self._step

    def on_train_batch_end(self, batch, logs=None):
        if self.unit != "step" or not self._active:
            return
        before, self._step = self._step, self._epoch_start + batch + 1  # more than one on with steps_per_execution
        if self._step // self.every > before // self.every:
            self._explain(self._step)

    def on_epoch_end(self, epoch, logs=None):
        if self.unit == "epoch" and self._active and (epoch + 1) % self.every == 0:
            self._explain(epoch + 1)

    def on_train_end(self, logs=None):
        if self._writer is not None:
            with self._writing():
                self._writer.close()
            self._writer = None

    # What it does then ------------------------------------------------------------------------------------------

    def _build(self) -> dict[str, Explainer]:
        """The explainers, on the model in training. All that can be wrong with them or the clips is found here."""
        if self.input_range != "auto":
            declare(self.model, input_range=self.input_range)
        model = self._described()
        built = {}
        for name, wanted in self._wanted.items():
            try:
                built[name] = wanted if isinstance(wanted, Explainer) else explainer(model=model, **wanted)
                built[name].prepare(built[name].classifier.checked(self.clips))
            except Exception as error:  # Keras and a user's own model or explainer raise their own
                raise TfvidError(f"explainer {name!r} cannot be used: {error_line(error)}") from error
            self._check_classes(built[name].classifier.num_classes)
        return built

    def _described(self) -> keras.Model | VideoModel:
        """The model in training, as `video_model` describes it."""
        if self.video_model is None:
            return self.model
        if self.video_model.model is not self.model:
            raise TfvidError("video_model: expected a description of the model in training, got one of another model")
        return self.video_model

    def _check_classes(self, num_classes: int):
        if self.labels is not None and self.labels.max() >= num_classes:
            raise TfvidError(f"labels: expected classes up to {num_classes - 1}, got {self.labels.max()}")
        if self.class_names is not None and len(self.class_names) != num_classes:
            raise TfvidError(f"class_names: expected {num_classes}, one a class, got {len(self.class_names)}")

    def _explain(self, now: int):
        """Explains the clips with every explainer, logs the results, and writes the table."""
        results, rows = {}, []
        for name in list(self._explainers):
            with self._switched_off_on_error(name, now):
                results[name] = self._result(self._explainers[name])
                rows += explanation_rows(results[name], name, self.ids, self.labels, self._class_name, self.events)
        for name in results:
            with self._switched_off_on_error(name, now):
                self._log(name, results, now)
        assert self._table is not None  # training has begun
        self._table.replace(now, rows)
        with self._writing():
            self._table.save()

    @contextmanager
    def _switched_off_on_error(self, name: str, now: int):
        """Runs beside the training without a trace in it; an explainer that fails is not used again."""
        try:
            with undisturbed(self.model):
                yield
        except Exception as error:  # as in `_build`
            del self._explainers[name]
            _warn(
                f"explainer {name!r} failed at {self.unit} {now} and is switched off; training goes on "
                f"({error_line(error)})"
            )

    def _result(self, explain: Explainer) -> Explanation:
        takes_labels = "labels" in inspect.signature(explain.__call__).parameters
        labels = {"labels": self.labels} if takes_labels and self.labels is not None else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StillClipWarning)  # `__init__` has warned, the clips stay the same
            return explain(self.clips, target=self.labels if self.target == "true" else None, **labels)

    def _log(self, name: str, results: dict[str, Explanation], now: int):
        result, (maps, shown_maps) = results[name], _maps(name, results)
        perturbation, perturbed = self._perturbed(self._explainers[name], result)
        roles = {"target": result.target, "predicted": result.predicted, "true": self.labels}
        labels = {
            role: [self._class_name(index) or None for index in classes]
            for role, classes in roles.items()
            if classes is not None
        }
        with self._writing():
            if self._writer is None:
                self._writer = tf.summary.create_file_writer(str(self.log_dir / SUMMARIES))
            with self._writer.as_default(step=now):
                summary.explanation(
                    name,
                    self.clips,
                    attribution=shown_maps,
                    scores=result,
                    method=name if maps in (None, name) else f"{name}, {maps}",
                    labels=labels,
                    ids=self.ids,
                    perturbation=perturbation,
                    perturbed=perturbed,
                    events=self.events,
                )
            self._writer.flush()

    def _perturbed(self, explain: Explainer, result: Explanation):
        """The name of what the explainer's mask does to the frames, and the frames, where the name does not say it."""
        mask, perturb = getattr(result, "mask", None), getattr(explain, "perturb", None)
        if mask is None or perturb is None:
            return None, None
        if perturb in (freeze, reverse):
            return perturb.__name__, None
        return getattr(perturb, "__name__", "own"), np.clip(perturb(self.clips, mask), 0, 1)

    def _class_name(self, index: int) -> str:
        if index < 0:
            return ""
        return str(index) if self.class_names is None else self.class_names[index]

    @contextmanager
    def _writing(self):
        """Passes over errors of the disk, with one warning; whatever is written next is tried again."""
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            self._writer = None  # its file may end within a record: the next one begins another file
            if not self._warned_of_disk:
                self._warned_of_disk = True
                _warn(f"{self.log_dir}: cannot write explanations; training goes on ({error_line(error)})")


def _maps(name: str, results: dict[str, Explanation]):
    """The maps shown with an explainer's result, and whose they are: its own, or the first ones of the same classes.

    So when and where are seen in one film. (None, None) where there are none.
    """
    for other in [name, *results]:
        maps = getattr(results[other], "native", getattr(results[other], "attribution", None))
        if maps is not None and (
            other == name or (np.array_equal(results[other].target, results[name].target) and np.isfinite(maps).all())
        ):
            return other, maps
    return None, None


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one of its cluster that writes; without a cluster it is.

    The strategy's cluster resolver tells, or without one ``TF_CONFIG``: the task "chief" (or "master"), or where there
    is none, worker 0.
    """
    resolver = strategy.cluster_resolver or tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if resolver.task_type in (None, "", "chief", "master"):
        return True
    has_chief = {"chief", "master"} & set(resolver.cluster_spec().jobs)
    return resolver.task_type == "worker" and resolver.task_id == 0 and not has_chief


def _by_name(explainers) -> dict[str, Explainer | dict]:
    """What to explain with, by the name to show: an explainer, or the arguments of `tfvid.explain.explainer`."""
    if isinstance(explainers, Mapping):
        named = list(explainers.items())
    elif isinstance(explainers, Sequence) and not isinstance(explainers, str):
        named = [(_shown_name(wanted), wanted) for wanted in explainers]
    else:
        named = []
    if not named:
        raise TfvidError(
            f"explainers: expected a list of names and explainers or a mapping with one or more, got {explainers!r}"
        )
    wanted = {}
    for name, given in named:
        if name in wanted:
            raise TfvidError(f"explainers: two are called {name!r}; name them: {{'first': ..., 'second': ...}}")
        if isinstance(given, str):
            given = {"method": given}
        if isinstance(given, Mapping):
            options = dict(given)
            given = {"name": options.pop("method", name)} | options
            EXPLAINERS.find(given["name"])  # a mistyped one is refused at once
        elif not isinstance(given, Explainer):
            raise TfvidError(f"explainer {name!r}: expected options or an Explainer, got {type(given).__name__}")
        wanted[str(name)] = given
    return wanted


def _shown_name(wanted) -> str:
    """The name in the registry, or that of the class: ``"grad_cam"``, ``"MyExplainer"``."""
    if isinstance(wanted, str):
        return wanted.rpartition(":")[2]
    name = type(wanted).__name__
    return next((short for short, place in EXPLAINERS.parts.items() if place.endswith(f":{name}")), name)


def _unit_clips(clips) -> np.ndarray:
    clips = np.asarray(clips)
    if clips.ndim != 5 or clips.shape[-1] != 3 or 0 in clips.shape:
        raise TfvidError(f"clips: expected shape (B, T, H, W, 3), got {clips.shape}")
    if clips.dtype.kind != "f":
        raise TfvidError(f"clips: expected floats in [0, 1], got {clips.dtype}; uint8 ones are to be divided by 255")
    if not (clips.min() >= 0 and clips.max() <= 1):  # so written, NaN fails too
        raise TfvidError(
            f"clips: expected floats in [0, 1], got {clips.min():g} to {clips.max():g}; bring them to [0, 1], and say "
            "with input_range=(low, high) what the model is trained on"
        )
    return clips.astype(np.float32)


def _labels(labels, count: int) -> np.ndarray | None:
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.shape != (count,) or labels.dtype.kind not in "iu" or labels.min() < -1:
        raise TfvidError(f"labels: expected {count} classes, ints from 0 or -1 where not known, got {labels.tolist()}")
    return labels.astype(np.int32)


def _events(events, count: int, num_frames: int) -> np.ndarray:
    if events is None:
        return np.full((count, 2), -1)
    events = np.asarray(events)
    if events.shape != (count, 2) or events.dtype.kind not in "iu":
        raise TfvidError(f"events: expected ints of shape ({count}, 2), got {events.dtype} {events.shape}")
    start, stop = events.T
    bad = ~((start == -1) & (stop == -1) | (start >= 0) & (start < stop) & (stop <= num_frames))
    if bad.any():
        raise TfvidError(
            f"events: expected [start, stop) within {num_frames} frames or (-1, -1), got {events[bad][0].tolist()}"
        )
    return events


def _ids(ids, count: int) -> list[str]:
    ids = range(count) if ids is None else ids
    ids = [id.decode() if isinstance(id, bytes) else str(id) for id in ids]
    if len(ids) != count or len(set(ids)) < count or "" in ids:
        raise TfvidError(f"ids: expected {count} different names, none empty, got {ids}")
    return ids


def _steps_done(optimizer) -> int:
    """Batches that a model was trained on, as its optimizer counts them."""
    iterations = getattr(optimizer, "iterations", None)
    if iterations is None:
        return 0
    return int(iterations.numpy()) * (getattr(optimizer, "gradient_accumulation_steps", None) or 1)


def _check_writable(folder: Path):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for place in (folder, folder.parent):
            tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        raise TfvidError(f"log_dir: cannot write to {folder} ({error})") from error


def _warn(message: str):
    warnings.warn(message, RuntimeWarning, stacklevel=3)
