"""A Keras callback that explains the same clips repeatedly while a model trains.

    fit ── every n epochs ──► explainers(clips) ──► TensorBoard, explanations.csv

The explanations show at which point of the training the model starts to look at the event.
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

    Explanations are written to ``<log_dir>/explain`` for TensorBoard. A row for each clip is added to
    ``<log_dir>/explanations.csv`` and to `table`; docs/callbacks.md describes the columns. Rows are numbered by the
    finished epochs (or steps): 0 is the untrained model. A resumed training (``initial_epoch=5``) keeps the rows up to
    this epoch and replaces the rows of the epochs that it repeats.

    The callback does not change the training: weights, optimizer, batch norm statistics, random state and metrics are
    the same with and without it. If an explainer fails, it is switched off with a warning. If the disk is full, the
    callback warns once and tries again at the next explanation. Errors that can be detected before the first step are
    raised. Under a `tf.distribute` strategy of several workers, only the chief explains and writes.

    Put it before callbacks that save the state of the training, so that no explanation is missing after a kill. Put it
    after callbacks that measure time, because Keras counts all callbacks of an epoch.

    Args:
      explainers: a list of names (``"grad_cam"``) and of `Explainer` instances built on the model in training. Or a
        mapping from a displayed name to an instance or to a dict of options. The option "method" is the name of the
        explainer; its default is the displayed name: ``{"grad_cam": {}, "mask": {"method": "temporal_mask",
        "iterations": 100}}``.
      clips: float `(B, T, H, W, 3)` in [0, 1], RGB. Choose a few clips: all are explained each time.
      log_dir: the folder for the results; created if it does not exist.
      every: the number of epochs (or steps) between two explanations, 1 or more.
      labels: the true classes, ints `(B,)`, -1 if unknown.
      unit: "epoch", or "step", a training batch.
      target: the class to explain: "true", or "predicted", the class predicted at the time of each explanation. None is
        "true" if all labels are known, else "predicted". With "true", all explanations of a clip are of the same class.
      class_names: the names of the classes, in the order of the model's scores; None for their numbers.
      ids: the names of the clips, B strings; default "0" to "B-1".
      events: int `(B, 2)`, the known event as [start, stop) in frames; (-1, -1) if unknown.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255) or (-1, 1). The
        clips are scaled to this range, see `Explainer`. "auto": the declared range, or the range that the model's first
        layers imply.
      video_model: a `tfvid.VideoModel` of the model in training, for a model with several inputs, another layout or a
        score of its own. None: the model expects clips `(B, T, H, W, C)` and returns class scores.

    Attributes:
      table: the rows as a list of dicts, including rows of earlier runs in `log_dir`; empty before the training starts.

    Raises:
      TfvidError: clips, labels, ids or events do not fit each other or, when the training starts, the model; an
        explainer does not exist or cannot explain this model; or the folder cannot be written.

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
            message = f"clip {place}: all frames are identical, so its masks over time have no meaning"
            warnings.warn(message, StillClipWarning, stacklevel=2)
        self.events = _events(events, count, num_frames)
        self.ids = _ids(ids, count)
        self.class_names = None if class_names is None else [str(name) for name in class_names]
        known = self.labels is not None and (self.labels >= 0).all()
        if target == "true" and not known:
            raise TfvidError("target 'true' needs the label of every clip")
        self.target = target or ("true" if known else "predicted")
        self._wanted = _by_name(explainers)
        # Lets Keras run ahead of the callbacks, as it does without this one. The unit "step" needs the exact step.
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

    # Methods that Keras calls -----------------------------------------------------------------------------------

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
        if not self._begun:  # the first epoch is not known before
            self._begun, self._step = True, _steps_done(self.model.optimizer)
            now = epoch if self.unit == "epoch" else self._step
            self._table.forget_after(now)
            if now == 0 or not self._table.rows:
                self._explain(now)
        self._epoch_start = self._step

    def on_train_batch_end(self, batch, logs=None):
        if self.unit != "step" or not self._active:
            return
        before, self._step = self._step, self._epoch_start + batch + 1  # several steps with steps_per_execution
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

    # Explanations -----------------------------------------------------------------------------------------------

    def _build(self) -> dict[str, Explainer]:
        """Builds the explainers on the model in training, and raises all errors of explainers and clips."""
        if self.input_range != "auto":
            declare(self.model, input_range=self.input_range)
        model = self._described()
        built = {}
        for name, wanted in self._wanted.items():
            try:
                built[name] = wanted if isinstance(wanted, Explainer) else explainer(model=model, **wanted)
                built[name].prepare(built[name].classifier.checked(self.clips))
            except Exception as error:  # Keras, and a user's model or explainer, may raise anything
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
            raise TfvidError(f"class_names: expected {num_classes}, one for each class, got {len(self.class_names)}")

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
        """Inside, the state of the training is kept. An explainer that raises an error is not used again."""
        try:
            with undisturbed(self.model):
                yield
        except Exception as error:  # as in `_build`
            del self._explainers[name]
            _warn(
                f"explainer {name!r} failed at {self.unit} {now} and is switched off; training continues "
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
        """Returns the name of the explainer's perturbation, and perturbed frames if TensorBoard cannot make them."""
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
        """Inside, errors of the disk are ignored, with one warning. The next call tries to write again."""
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            self._writer = None  # its file may end within a record, so the next writer starts another file
            if not self._warned_of_disk:
                self._warned_of_disk = True
                _warn(f"{self.log_dir}: cannot write explanations; training continues ({error_line(error)})")


def _maps(name: str, results: dict[str, Explanation]):
    """Returns the maps to show with an explainer's result, and the name of their explainer.

    They are its own maps, or the first maps of the same classes, so that one film shows when and where. (None, None)
    if there are no maps.
    """
    for other in [name, *results]:
        maps = getattr(results[other], "native", getattr(results[other], "attribution", None))
        if maps is not None and (
            other == name or (np.array_equal(results[other].target, results[name].target) and np.isfinite(maps).all())
        ):
            return other, maps
    return None, None


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process is the chief of its cluster, which writes the results. True without a cluster.

    The cluster is that of the strategy's resolver, or else of ``TF_CONFIG``. Its chief is the task "chief" (or
    "master"), or else worker 0.
    """
    resolver = strategy.cluster_resolver or tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if resolver.task_type in (None, "", "chief", "master"):
        return True
    has_chief = {"chief", "master"} & set(resolver.cluster_spec().jobs)
    return resolver.task_type == "worker" and resolver.task_id == 0 and not has_chief


def _by_name(explainers) -> dict[str, Explainer | dict]:
    """Returns, by displayed name, an explainer or the arguments of `tfvid.explain.explainer`."""
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
            raise TfvidError(f"explainers: two have the name {name!r}; use a mapping: {{'first': ..., 'second': ...}}")
        if isinstance(given, str):
            given = {"method": given}
        if isinstance(given, Mapping):
            options = dict(given)
            given = {"name": options.pop("method", name)} | options
            EXPLAINERS.find(given["name"])  # raises for an unknown name
        elif not isinstance(given, Explainer):
            raise TfvidError(f"explainer {name!r}: expected options or an Explainer, got {type(given).__name__}")
        wanted[str(name)] = given
    return wanted


def _shown_name(wanted) -> str:
    """Returns the name in the registry, or else that of the class: ``"grad_cam"``, ``"MyExplainer"``."""
    if isinstance(wanted, str):
        return wanted.rpartition(":")[2]
    name = type(wanted).__name__
    return next((short for short, place in EXPLAINERS.parts.items() if place.endswith(f":{name}")), name)


def _unit_clips(clips) -> np.ndarray:
    clips = np.asarray(clips)
    if clips.ndim != 5 or clips.shape[-1] != 3 or 0 in clips.shape:
        raise TfvidError(f"clips: expected shape (B, T, H, W, 3), got {clips.shape}")
    if clips.dtype.kind != "f":
        raise TfvidError(f"clips: expected floats in [0, 1], got {clips.dtype}; divide uint8 clips by 255")
    if not (clips.min() >= 0 and clips.max() <= 1):  # also true for NaN
        raise TfvidError(
            f"clips: expected floats in [0, 1], got {clips.min():g} to {clips.max():g}; scale them to [0, 1], and "
            "pass the range that the model expects as input_range=(low, high)"
        )
    return clips.astype(np.float32)


def _labels(labels, count: int) -> np.ndarray | None:
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.shape != (count,) or labels.dtype.kind not in "iu" or labels.min() < -1:
        raise TfvidError(f"labels: expected {count} classes, ints from 0 or -1 if unknown, got {labels.tolist()}")
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
    """Returns the number of batches that a model was trained on, by the count of its optimizer."""
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
