"""Configurations: frozen dataclasses that are built from a YAML file and ``key=value`` overrides.

    config = load("configs/i3d_ssv2.yaml", ["data.root=/data/ssv2", "train.epochs=2"])

All values are checked when a configuration is built. An unknown key raises an error that suggests the nearest valid
key. A wrong type or range raises an error of one line that names the file and the key. This module imports neither
TensorFlow nor Keras.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from tfvid.core.errors import ConfigError, unknown
from tfvid.core.typed import build, require
from tfvid.data.settings import DataConfig

LARGEST, MOST_VALUES = 200_000, 10_000  # the limits of the characters of a file and of the values in it


@dataclass(frozen=True)
class ModelConfig:
    """The classifier of a run.

    Attributes:
      name: a name in `tfvid.models.MODELS`, or ``"my_file.py:MyModel"``.
      options: further keyword arguments of the model (dropout, width, depth, blocks, ...).
      weights: the initial weights: a ``.keras`` file or a run of the same model, or the prefix of a DeepMind Kinetics
        I3D checkpoint (``.../model.ckpt``). The weights of a classifier layer of another shape are not loaded. None for
        random weights.
    """

    name: str = "i3d"
    options: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None


@dataclass(frozen=True)
class TrainConfig:
    """How the classifier is trained.

    Attributes:
      split: the training split of the dataset.
      validation_split: the split that is measured after each epoch. The "plateau" schedule and the best epoch depend on
        it.
      epochs: the number of passes over `split`.
      optimizer: "adam" or "sgd".
      learning_rate: the initial rate (after the warm-up).
      momentum: the momentum of "sgd", in [0, 1).
      weight_decay: the L2 penalty of all kernels, added to the gradient (not decoupled). Biases and batch norm have
        none.
      schedule: "constant"; "plateau": the rate is halved after `plateau_patience` epochs without a better validation
        accuracy, down to `min_learning_rate`; "cosine": a half cosine down to `min_learning_rate` over the steps of the
        run.
      warmup_epochs: the rate grows linearly from 0 over this many epochs ("cosine" only).
      plateau_patience: the number of epochs, see `schedule`.
      min_learning_rate: the lowest rate of the schedules.
      mixed_precision: true is mixed bfloat16; "auto" uses it if the processor or GPU supports it.
      keep: the epoch whose weights become the run's model: "best" (validation top-1) or "last". Choose "last" if the
        validation split is also the test set.
      deterministic: whether every run computes the same bits, which is slower. It enables TensorFlow's op determinism
        for the whole process.
    """

    split: str = "train"
    validation_split: str = "validation"
    epochs: int = 10
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: Literal["constant", "plateau", "cosine"] = "constant"
    warmup_epochs: float = 0.0
    plateau_patience: int = 2
    min_learning_rate: float = 1e-8
    mixed_precision: Literal["auto", True, False] = "auto"
    keep: Literal["best", "last"] = "best"
    deterministic: bool = False

    def __post_init__(self):
        require(self.epochs >= 1, "train.epochs", "1 or more", self.epochs)
        require(self.learning_rate > 0, "train.learning_rate", "above 0", self.learning_rate)
        require(0 <= self.momentum < 1, "train.momentum", "in [0, 1)", self.momentum)
        require(self.momentum == 0 or self.optimizer == "sgd", "train.momentum", "0 unless sgd", self.momentum)
        require(self.weight_decay >= 0, "train.weight_decay", "0 or more", self.weight_decay)
        require(self.warmup_epochs >= 0, "train.warmup_epochs", "0 or more", self.warmup_epochs)
        require(
            self.warmup_epochs == 0 or self.schedule == "cosine",
            "train.warmup_epochs",
            "0 unless schedule is cosine",
            self.warmup_epochs,
        )
        require(self.plateau_patience >= 1, "train.plateau_patience", "1 or more", self.plateau_patience)
        require(
            0 <= self.min_learning_rate <= self.learning_rate,
            "train.min_learning_rate",
            "in [0, learning_rate]",
            self.min_learning_rate,
        )


@dataclass(frozen=True)
class ExplainConfig:
    """How ``tfvid explain`` and the training explain clips.

    Attributes:
      mask: options of `tfvid.TemporalMask`, e.g. the paper's weights of length and variation.
      grad_cam: options of `tfvid.GradCAM`.
      log_every: the number of epochs between explanations in training, see docs/callbacks.md; 0 for no explanations.
      log_clips: the number of validation clips that training explains each time; the classes take turns.
      log_iterations: the steps of the masks in training; None for the number in `mask`.
    """

    mask: dict[str, Any] = field(default_factory=dict)
    grad_cam: dict[str, Any] = field(default_factory=dict)
    log_every: int = 0
    log_clips: int = 4
    log_iterations: int | None = None

    def __post_init__(self):
        require(self.log_every >= 0, "explain.log_every", "0 or more", self.log_every)
        require(self.log_clips >= 1, "explain.log_clips", "1 or more", self.log_clips)
        steps = self.log_iterations
        require(steps is None or steps >= 0, "explain.log_iterations", "0 or more", steps)


@dataclass(frozen=True)
class RunConfig:
    """A training run. Its results are in ``runs/<name>/`` and ``saved_models/<name>/``.

    Attributes:
      name: letters, digits, ``_``, ``-`` and ``.``. The default is the name of the YAML file.
      seed: the seed of initial weights and dropout.
      distribution: "none"; "mirrored", on the GPUs of this machine; "multi_worker", on the machines of ``TF_CONFIG`` or
        of a SLURM job. `data.batch_size` counts the clips of all replicas.
      data: the clips.
      model: the classifier.
      train: how it is trained.
      explain: how clips are explained.
    """

    name: str = "run"
    seed: int = 0
    distribution: Literal["none", "mirrored", "multi_worker"] = "none"
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    explain: ExplainConfig = field(default_factory=ExplainConfig)

    def __post_init__(self):
        require(bool(re.fullmatch(r"\w[\w.-]*", self.name)), "name", "letters, digits, '_', '-' and '.'", self.name)


@dataclass(frozen=True, kw_only=True)
class LoadConfig:
    """Properties of a model that its file does not contain, see docs/models.md. The defaults are those of its card.

    Attributes:
      input_range: the values [low, high] that the model expects for black and white. Clips in [0, 1] are scaled to this
        range.
      channels: the order of the colour channels that the model expects.
      output: what the model returns.
      describe: ``"my_file.py:name"``, a function from the loaded model to its `tfvid.VideoModel`. tfvid runs the file.
      custom: a Python file with the model's own layers and functions.
    """

    input_range: tuple[float, float] | None = None
    channels: Literal["auto", "rgb", "bgr"] = "auto"
    output: Literal["auto", "logits", "probabilities", "sigmoid_logits", "sigmoid", "score"] = "auto"
    custom: str | None = None
    describe: str | None = None

    def __post_init__(self):
        low, high = self.input_range or (0, 1)
        require(low < high, "input_range", "[low, high], the lower value first", self.input_range)

    def load_options(self) -> dict[str, Any]:
        """Returns these values as keyword arguments of `tfvid.models.loaded.load_model_as`."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(LoadConfig)}


@dataclass(frozen=True)
class GroupConfig(LoadConfig):
    """A group of models that is compared as one, e.g. several seeds of one architecture.

    Attributes:
      name: the name of the group in tables and figures.
      paths: the paths of its models: ``runs/<name>``, ``saved_models/<name>``, ``.keras`` or ``.h5`` files.
    """

    name: str
    paths: tuple[str, ...]

    def __post_init__(self):
        super().__post_init__()
        require(bool(self.name), "models: name", "some text", self.name)
        require(len(self.paths) >= 1, f"models: paths of {self.name!r}", "one model or more", self.paths)


@dataclass(frozen=True)
class ClassesConfig:
    """The classes that are explained and compared. The paper uses classes on which its models perform alike.

    Attributes:
      names: the names of the classes; () for all classes that satisfy the two conditions below.
      max_f1_gap: the largest difference between the groups' F1 of a class, in [0, 1].
      min_f1: the lowest F1 of a class in any group, in [0, 1].
    """

    names: tuple[str, ...] = ()
    max_f1_gap: float = 1.0
    min_f1: float = 0.0

    def __post_init__(self):
        require(0 <= self.max_f1_gap <= 1, "classes.max_f1_gap", "in [0, 1]", self.max_f1_gap)
        require(0 <= self.min_f1 <= 1, "classes.min_f1", "in [0, 1]", self.min_f1)
        by_rule = self.max_f1_gap < 1 or self.min_f1 > 0
        require(not (self.names and by_rule), "classes", "a list of names or a rule, not both", self.names)


@dataclass(frozen=True)
class StudyConfig:
    """A comparison of models: ``tfvid compare``.

    Attributes:
      name: the name of the study. Its default folder is ``runs/<name>``.
      title: the title of its page.
      models: the groups, two or more. The findings compare the first two; the 3-D network comes first.
      data: the clips, the same for all models.
      split: the split of the dataset.
      classes: the classes that are explained.
      limit: the maximum number of clips to explain, of the chosen classes; the classes take turns. None for all. F1 is
        always measured on the whole split.
      target: the class explained: each clip's "predicted" or "true" class.
      mask: options of `tfvid.TemporalMask`.
      grad_cam: options of `tfvid.GradCAM`.
      smallest_drop: the drop ratio of a clip is defined only if freezing and reversing each lower its score by more
        than this.
      film_clips: the number of clips of each class with films, of the first model of each group; None for all.
      films: the formats of the films.
      method_clips: the number of clips on which methods to find a mask are compared; 0 to skip this comparison.
      seed: the seed of all random numbers.
    """

    name: str = "study"
    title: str = "What two models look at, and when"
    models: tuple[GroupConfig, ...] = ()
    data: DataConfig = field(default_factory=DataConfig)
    split: str = "validation"
    classes: ClassesConfig = field(default_factory=ClassesConfig)
    limit: int | None = None
    target: Literal["predicted", "true"] = "predicted"
    mask: dict[str, Any] = field(default_factory=dict)
    grad_cam: dict[str, Any] = field(default_factory=dict)
    smallest_drop: float = 0.001
    film_clips: int | None = None
    films: tuple[Literal["gif", "mp4", "webp"], ...] = ("webp",)
    method_clips: int = 0
    seed: int = 0

    def __post_init__(self):
        require(bool(re.fullmatch(r"\w[\w.-]*", self.name)), "name", "letters, digits, '_', '-' and '.'", self.name)
        require(len(self.models) >= 2, "models", "two or more groups, each with a name and paths", self.models)
        names = [group.name for group in self.models]
        require(len(set(names)) == len(names), "models", "groups of different names", names)
        require(self.limit is None or self.limit >= 1, "limit", "1 or more", self.limit)
        require(self.film_clips is None or self.film_clips >= 0, "film_clips", "0 or more", self.film_clips)
        require(self.method_clips >= 0, "method_clips", "0 or more", self.method_clips)
        require(self.smallest_drop >= 0, "smallest_drop", "0 or more", self.smallest_drop)


@dataclass(frozen=True)
class NetworkConfig(LoadConfig):
    """A network of the attribution benchmark.

    Attributes:
      name: the name in tables and figures.
      path: the path of its model: ``runs/<name>``, ``saved_models/<name>``, a ``.keras`` or ``.h5`` file.
    """

    name: str
    path: str

    def __post_init__(self):
        super().__post_init__()
        require(bool(self.name), "networks: name", "some text", self.name)

    @property
    def paths(self) -> tuple[str, ...]:
        """The path as a group of one model, see `GroupConfig`."""
        return (self.path,)


@dataclass(frozen=True)
class MethodConfig:
    """An attribution method of the benchmark, with its options.

    Attributes:
      name: a name in `tfvid.explain.EXPLAINERS`, or ``"my_file.py:MyExplainer"``.
      label: the name of its row, by default `name`. Labels distinguish rows of the same method.
      options: the arguments of the explainer.
      without: the measures that are skipped for this method, e.g. measures that run a slow method many times.
    """

    name: str
    label: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    @property
    def row(self) -> str:
        """The name of its row: the label, or the name."""
        return self.label or self.name


@dataclass(frozen=True)
class MeasureConfig:
    """A measure of the attribution benchmark.

    Attributes:
      name: a name in `tfvid.metrics.METRICS`, or ``"my_file.py:my_measure"``.
      options: the arguments of the measure.
      limit: the number of clips that are measured, the first ones; None for all.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    limit: int | None = None

    def __post_init__(self):
        require(self.limit is None or self.limit >= 1, "measures: limit", "1 or more", self.limit)


@dataclass(frozen=True)
class AttributionConfig:
    """A comparison of attribution methods: ``tfvid benchmark``.

    Attributes:
      name: the name of the benchmark. Its default folder is ``runs/<name>``.
      title: the title of its document.
      networks: the networks, one or more.
      data: the clips, the same for all networks; `batch_size` is the number of clips explained at a time.
      split: the split of the dataset.
      classes: the classes of the clips; () for all.
      limit: the maximum number of clips; the classes take turns. None for all clips of the split.
      target: the class explained: each clip's "predicted" or "true" class.
      methods: the methods, one or more. The five baselines of `tfvid.metrics.baselines` are always added.
      measures: the measures, one or more. Measures that need a known event are skipped if the dataset has none.
      sanity_methods: rows of `methods` for the sanity check, which explains again while more and more of the network's
        weights are randomised; () to skip it.
      sanity_clips: the number of clips of the sanity check.
      seed: the seed of all random numbers.
    """

    name: str = "attribution"
    title: str = "Which attribution method to trust"
    networks: tuple[NetworkConfig, ...] = ()
    data: DataConfig = field(default_factory=DataConfig)
    split: str = "validation"
    classes: tuple[str, ...] = ()
    limit: int | None = None
    target: Literal["predicted", "true"] = "predicted"
    methods: tuple[MethodConfig, ...] = ()
    measures: tuple[MeasureConfig, ...] = ()
    sanity_methods: tuple[str, ...] = ()
    sanity_clips: int = 2
    seed: int = 0

    def __post_init__(self):
        require(bool(re.fullmatch(r"\w[\w.-]*", self.name)), "name", "letters, digits, '_', '-' and '.'", self.name)
        require(self.limit is None or self.limit >= 1, "limit", "1 or more", self.limit)
        require(self.sanity_clips >= 1, "sanity_clips", "1 or more", self.sanity_clips)
        for key, names in {
            "networks": [network.name for network in self.networks],
            "methods": [method.row for method in self.methods],
            "measures": [measure.name for measure in self.measures],
        }.items():
            require(len(names) >= 1, key, "one or more", names)
            require(len(set(names)) == len(names), key, "of different names", names)
        rows, measures = ([item.row for item in self.methods], [item.name for item in self.measures])
        for name in self.sanity_methods:
            if name not in rows:
                raise ConfigError(f"sanity_methods: {unknown('method', name, rows)}")
        for method in self.methods:
            for name in method.without:
                if name not in measures:
                    raise ConfigError(f"methods: {method.row}: without: {unknown('measure', name, measures)}")


def load(path: str | Path, overrides: Sequence[str] = (), kind: type = RunConfig):
    """Reads a configuration.

    Args:
      path: a YAML file, also the ``config.yaml`` of a run.
      overrides: dotted keys and YAML values, e.g. ``"train.epochs=3"``; they replace values of the file.
      kind: the class of the result: `RunConfig`, `StudyConfig` or `AttributionConfig`.

    Raises:
      ConfigError: one line that names the file (or the override) and the key; for an unknown key, it suggests the
        nearest valid one.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {_unreadable(error)}; expected a configuration as a YAML file") from error
    if len(text) > LARGEST:
        raise ConfigError(f"{path}: expected a configuration of up to {LARGEST} characters, got {len(text)}")
    values = parse(text, str(path))
    if values is None:
        values = {}
    if isinstance(values, dict):
        values = override({"name": path.stem} | values, overrides)
    return from_dict(values, " ".join([str(path), *overrides]), kind)


def _unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Returns the reason why a file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "this is a folder"
    return f"cannot be read ({error})"


def override(values: dict, overrides: Sequence[str]) -> dict:
    """Returns nested dicts with the values of overrides such as ``"train.epochs=3"``; `from_dict` checks the keys.

    Raises:
      ConfigError: an override is not of the form ``key=value``, or its value is not YAML.
    """
    for text in overrides:
        key, equals, value = text.partition("=")
        require(bool(equals and key), "an override", "key=value, e.g. train.epochs=3", text)
        values = _replace(values, key.split("."), parse(value, text), text)
    return values


def from_dict(values: dict, source: str = "configuration", kind: type = RunConfig):
    """Builds a configuration of class `kind` from nested dicts; error messages name `source`."""
    other = _other_kind(values, kind)
    if other:
        raise ConfigError(f"{source}: expected a configuration of {PURPOSES[kind]}, got one of {PURPOSES[other]}")
    try:
        return build(kind, values, "")
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


PURPOSES = {
    RunConfig: "a run (train.py, evaluate.py, explain.py, prepare.py)",
    StudyConfig: "a study (compare.py)",
    AttributionConfig: "a benchmark of attribution methods (benchmark_attribution.py)",
}


def _other_kind(values, kind: type) -> type | None:
    """Returns another class that has all the keys of `values`, if `kind` does not have all of them; else None."""
    if kind not in PURPOSES or not isinstance(values, dict):
        return None
    keys = {purpose: {field.name for field in dataclasses.fields(purpose)} for purpose in PURPOSES}
    if set(values) <= keys[kind]:
        return None
    return next((purpose for purpose in PURPOSES if set(values) <= keys[purpose]), None)


def to_yaml(config: RunConfig | StudyConfig | AttributionConfig) -> str:
    """Returns the configuration as YAML with all values; `load` builds an equal configuration from it."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which ``1e-3`` is a number, as in YAML 1.2, and a repeated key is an error."""

    def construct_mapping(self, node, deep=False):
        if isinstance(node, yaml.MappingNode):
            scalars = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            [(key, times)] = Counter((key.tag, key.value) for key in scalars).most_common(1) or [(None, 1)]
            if times > 1:
                problem = f"key {key[1]!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def parse(text: str, source: str):
    """Returns the value of a YAML text, as `yaml.safe_load` does.

    Raises:
      ConfigError: one line that names `source`: the text is not YAML, or it has too many or too large values.
    """
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML ({' '.join(str(error).split())})") from error
    except RecursionError:
        raise ConfigError(f"{source}: not valid YAML (too many nested brackets)") from None
    # PyYAML raises these for values such as ``!!int x`` or the date 2026-05-40.
    except (ValueError, AttributeError, LookupError, TypeError) as error:
        raise ConfigError(f"{source}: not valid YAML ({error})") from None
    _check_size(value, source)
    return value


def _check_size(value, source: str):
    """Raises ConfigError for huge numbers and too many values, which anchors (``&a``, ``*a``) make of a few bytes."""
    waiting, count = [value], 0
    while waiting:
        count += 1
        if count + len(waiting) > MOST_VALUES:
            raise ConfigError(f"{source}: expected at most {MOST_VALUES} values, got more, or one within itself")
        item = waiting.pop()
        if isinstance(item, int) and abs(item) >= 2**63:
            raise ConfigError(f"{source}: expected numbers below 2**63, got a larger one")
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set):
            waiting += item


def _replace(values: dict, keys: list[str], value, source: str) -> dict:
    """Returns `values` with `value` at the nested `keys`. `build` checks the names."""
    first, *rest = keys
    if rest:
        inner = values.get(first) or {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{source}: {first!r} has no further keys")
        value = _replace(inner, rest, value, source)
    return {**values, first: value}
