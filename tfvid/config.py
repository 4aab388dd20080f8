"""One run, one tree of frozen dataclasses, from a YAML file and ``key=value`` overrides.

    config = load("configs/i3d_ssv2.yaml", ["data.root=/data/ssv2", "train.epochs=2"])

Values are checked where they come in: an unknown key is refused with the nearest valid one, a wrong type or
range in one line that names the file and the key. This module imports neither TensorFlow nor Keras.
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

LARGEST, MOST_VALUES = 200_000, 10_000  # characters of a file, and values in it


@dataclass(frozen=True)
class ModelConfig:
    """The classifier.

    Attributes:
      name: a name in `tfvid.models.MODELS`, or ``"my_file.py:MyModel"``.
      options: further keyword arguments of the model (dropout, width, depth, blocks, ...).
      weights: start from these instead of random weights: a ``.keras`` file or run of the same model, or the prefix
        of a DeepMind Kinetics I3D checkpoint (``.../model.ckpt``). A classifier of another shape is left out.
    """

    name: str = "i3d"
    options: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None


@dataclass(frozen=True)
class TrainConfig:
    """How the classifier is trained.

    Attributes:
      split: the dataset's split that is trained on.
      validation_split: the split measured after each epoch; it decides halvings and the best epoch.
      epochs: passes over `split`.
      optimizer: "adam" or "sgd".
      learning_rate: at the start (after the warm-up).
      momentum: of "sgd".
      weight_decay: L2, added to the gradient (not decoupled), on all kernels; not on biases and batch norm.
      schedule: "constant"; "plateau": halved after `plateau_patience` epochs without a better validation
        accuracy, down to `min_learning_rate`; "cosine": down to `min_learning_rate` over the run, by step.
      warmup_epochs: the rate grows linearly from 0 over this many epochs ("cosine" only).
      plateau_patience: epochs.
      min_learning_rate: no schedule goes below it.
      mixed_precision: true is mixed bfloat16; "auto" uses it where the processor or GPU computes in it.
      keep: which epoch's weights become the run's model: "best" (validation top-1) or "last". Choose "last"
        where the validation split is also the test set.
      deterministic: the same bits in every run, at some cost in speed. It switches TensorFlow's
        op determinism on for the whole process.
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
    """How clips are explained: by ``scripts/explain.py``, and while a model trains.

    Attributes:
      mask: options of `tfvid.TemporalMask`, e.g. the paper's weights of length and variation.
      grad_cam: options of `tfvid.GradCAM`.
      log_every: epochs between the explanations that training logs, see docs/callbacks.md; 0 for none.
      log_clips: clips of the validation split explained each time, the first ones of all classes in turn.
      log_iterations: steps of the masks that training logs; None for as many as `mask` says.
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
    """One run: ``runs/<name>/`` and ``saved_models/<name>/``.

    Attributes:
      name: letters, digits, ``_``, ``-`` and ``.``; the file's own name where it is not given.
      seed: of initial weights and dropout.
      distribution: of training: "none"; "mirrored", over the GPUs of this machine; "multi_worker", over the machines
        of ``TF_CONFIG`` or of a SLURM job. `data.batch_size` is of all together.
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
    """What a model file alone does not say, see docs/models.md; what is not given is what the model's card says.

    Attributes:
      input_range: the values [low, high] that the model takes for black and white; clips in [0, 1] are scaled to them.
      channels: the order of the colours that it takes.
      output: what it returns.
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
        """These values as keyword arguments of `tfvid.models.loaded.load_model_as`."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(LoadConfig)}


@dataclass(frozen=True)
class GroupConfig(LoadConfig):
    """Models compared as one, e.g. several seeds of one architecture.

    Attributes:
      name: of the group, in tables and figures.
      paths: of its models: ``runs/<name>``, ``saved_models/<name>``, ``.keras`` or ``.h5`` files.
    """

    name: str
    paths: tuple[str, ...]

    def __post_init__(self):
        super().__post_init__()
        require(bool(self.name), "models: name", "some text", self.name)
        require(len(self.paths) >= 1, f"models: paths of {self.name!r}", "one model or more", self.paths)


@dataclass(frozen=True)
class ClassesConfig:
    """Which classes are explained and compared. The paper took those on which its models perform alike.

    Attributes:
      names: these; () for all that follow the rule below.
      max_f1_gap: the groups' F1 of the class lie within this of one another.
      min_f1: each group's F1 of the class is at least this.
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
    """A comparison of models: ``scripts/compare.py``.

    Attributes:
      name: of the study; its folder is ``runs/<name>`` unless another is given.
      title: of its page.
      models: the groups, two or more; the first two are those of the findings, the 3-D network first.
      data: the clips, the same for all models.
      split: of the dataset.
      classes: which of its classes are explained.
      limit: explain at most this many clips of the chosen classes, all classes in turn; None for all of them. F1 is
        always measured on the whole split.
      target: the class explained, each clip's "predicted" or "true" one.
      mask: options of `tfvid.TemporalMask`.
      grad_cam: options of `tfvid.GradCAM`.
      smallest_drop: clips of which freezing or reversing lowers the score by no more than this have no drop ratio.
      film_clips: so many clips of each class get films, by the first model of each group; None for all.
      films: their formats.
      method_clips: so many clips are used to compare ways of finding a mask; 0 leaves that out.
      seed: of what is drawn at random.
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
        require(len(self.models) >= 2, "models", "two groups or more, each a name and paths", self.models)
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
      name: in tables and figures.
      path: ``runs/<name>``, ``saved_models/<name>``, a ``.keras`` or ``.h5`` file.
    """

    name: str
    path: str

    def __post_init__(self):
        super().__post_init__()
        require(bool(self.name), "networks: name", "some text", self.name)


@dataclass(frozen=True)
class MethodConfig:
    """A way of explaining, in the attribution benchmark.

    Attributes:
      name: in `tfvid.explain.EXPLAINERS`, or ``"my_file.py:MyExplainer"``.
      label: of its rows; `name` where it is not given, so one method can be there with several settings.
      options: its arguments.
      without: measures that are not taken of it, e.g. those that would explain a slow method many times more.
    """

    name: str
    label: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    @property
    def row(self) -> str:
        """What its rows are called."""
        return self.label or self.name


@dataclass(frozen=True)
class MeasureConfig:
    """A measure of the attribution benchmark.

    Attributes:
      name: in `tfvid.metrics.METRICS`, or ``"my_file.py:my_measure"``.
      options: its arguments.
      limit: measure at most this many clips, the first ones; None for all of them.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    limit: int | None = None

    def __post_init__(self):
        require(self.limit is None or self.limit >= 1, "measures: limit", "1 or more", self.limit)


@dataclass(frozen=True)
class AttributionConfig:
    """Which method explains which network best: ``scripts/benchmark_attribution.py``.

    Attributes:
      name: of the benchmark; its folder is ``runs/<name>`` unless another is given.
      title: of its document.
      networks: one or more.
      data: the clips, the same for all networks; `batch_size` of them are explained at a time.
      split: of the dataset.
      classes: which of its classes; () for all.
      limit: use at most this many clips, all classes in turn; None for all of the split.
      target: the class explained, each clip's "predicted" or "true" one.
      methods: a random map and a centred one are judged beside them, whatever is listed.
      measures: those that know the truth are left out where the dataset does not.
      sanity_methods: rows of `methods` that explain again while more and more of the network's weights are destroyed;
        () leaves that out.
      sanity_clips: of so many clips.
      seed: of what is drawn at random.
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
      path: a YAML file; a run's own ``config.yaml`` too.
      overrides: ``"train.epochs=3"``: a dotted key and a YAML value, stronger than the file.
      kind: `RunConfig`, `StudyConfig` or `AttributionConfig`, which is returned.

    Raises:
      ConfigError: one line that names the file (or the override) and the key; for an unknown key the
        nearest valid one.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {_unreadable(error)}; expected a configuration, a YAML file") from error
    if len(text) > LARGEST:
        raise ConfigError(f"{path}: expected a configuration of up to {LARGEST} characters, got {len(text)}")
    values = parse(text, str(path))
    if values is None:
        values = {}
    if isinstance(values, dict):
        values = override({"name": path.stem} | values, overrides)
    return from_dict(values, " ".join([str(path), *overrides]), kind)


def _unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Why a file cannot be read, in words."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "this is a folder"
    return f"cannot be read ({error})"


def override(values: dict, overrides: Sequence[str]) -> dict:
    """`values`, nested dicts, with each ``"train.epochs=3"`` put in its place; `from_dict` refuses unknown keys.

    Raises:
      ConfigError: not ``key=value``, or not a YAML value.
    """
    for text in overrides:
        key, equals, value = text.partition("=")
        require(bool(equals and key), "an override", "key=value, e.g. train.epochs=3", text)
        values = _replace(values, key.split("."), parse(value, text), text)
    return values


def from_dict(values: dict, source: str = "configuration", kind: type = RunConfig):
    """Builds a `RunConfig`, or another `kind`, from nested dicts; `source` is what error messages name."""
    other = _other_kind(values, kind)
    if other:
        raise ConfigError(f"{source}: expected the configuration of {PURPOSES[kind]}, this is one of {PURPOSES[other]}")
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
    """The kind of configuration that all keys of `values` belong to, where they do not all belong to `kind`."""
    if kind not in PURPOSES or not isinstance(values, dict):
        return None
    keys = {purpose: {field.name for field in dataclasses.fields(purpose)} for purpose in PURPOSES}
    if set(values) <= keys[kind]:
        return None
    return next((purpose for purpose in PURPOSES if set(values) <= keys[purpose]), None)


def to_yaml(config: RunConfig | StudyConfig | AttributionConfig) -> str:
    """The resolved configuration, every value spelt out; `load` reads it back to an equal one."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which ``1e-3`` is a number (YAML 1.2), and a repeated key an error rather than a surprise."""

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
    """The value that `text`, YAML, stands for: what `yaml.safe_load` returns.

    Raises:
      ConfigError: not YAML, or more of it than a configuration can be; one line that names `source`.
    """
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML ({' '.join(str(error).split())})") from error
    except RecursionError:
        raise ConfigError(f"{source}: not valid YAML (brackets in brackets without end)") from None
    except (
        ValueError,
        AttributeError,
        LookupError,
        TypeError,
    ) as error:  # PyYAML's own, of ``!!int x`` or May the 40th
        raise ConfigError(f"{source}: not valid YAML ({error})") from None
    _check_size(value, source)
    return value


def _check_size(value, source: str):
    """Refuses what a few bytes can stand for: huge numbers, and values (``&a``) used in one another (``*a``)."""
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
    """`values` with `value` put under the nested `keys`; unknown names are left for `build` to refuse."""
    first, *rest = keys
    if rest:
        inner = values.get(first) or {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{source}: {first!r} holds no further keys")
        value = _replace(inner, rest, value, source)
    return {**values, first: value}
