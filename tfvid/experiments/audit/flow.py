"""The flow of an audit: ask the model, explain some clips, write tables, findings, the page and ``audit.json``."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tfvid.adapters.makes import adapted
from tfvid.core.arguments import whole_number
from tfvid.core.errors import ConfigError, check_choice, unknown
from tfvid.data.base import VideoDataset
from tfvid.data.choose import in_turn
from tfvid.data.decode.clip import Sample
from tfvid.data.pipeline import make_dataset
from tfvid.data.settings import DataConfig
from tfvid.experiments import manifest
from tfvid.experiments.audit import predictions, properties
from tfvid.experiments.audit.confusions import confusions
from tfvid.experiments.audit.explanations import CONFUSION, SAMPLE, Explaining
from tfvid.experiments.audit.interventions import AS_IS, INTERVENTIONS, ONE_FRAME
from tfvid.experiments.audit.report import write_report
from tfvid.experiments.clips import Clips
from tfvid.models.card import ModelCard
from tfvid.models.loaded import Loaded, load_models
from tfvid.network.stated import clip_shape

BACKGROUNDS = 32  # clips whose backgrounds are swapped in
NEEDED = (AS_IS, ONE_FRAME)  # interventions that every audit has


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
      folder: the folder with the page, ``audit.json``, ``report.json``, the tables and the records.
      quantities: the numbers by name, see `tfvid.experiments.audit.quantities.QUANTITIES`; None for one not known.
      classes: for each class with clips, its numbers by name.
      findings: dicts of ``question``, ``answer`` and ``holds``, the most important first.
      skipped: the reason for each clip that could not be read, by id.
      page: the path of ``index.html``.
    """

    folder: Path
    quantities: dict[str, float | None]
    classes: dict[str, dict[str, float | None]]
    findings: list[dict]
    skipped: dict[str, str]
    page: Path


@dataclass(frozen=True)
class Settings:
    """What an audit does besides its model and its data.

    Attributes:
      split: the split of the data set.
      limit: the largest number of clips; the classes take turns. None: all.
      explain: the number of clips that are explained; the classes take turns. 0: none, and no films.
      interventions: names in `INTERVENTIONS`; `NEEDED` are added.
      maps: the method of the maps, see `Explaining`.
      seed: of everything that is drawn at random.
    """

    split: str = "validation"
    limit: int | None = None
    explain: int = 12
    interventions: Sequence[str] = tuple(INTERVENTIONS)
    maps: str | None = None
    seed: int = 0

    def __post_init__(self):
        for name in self.interventions:
            check_choice("intervention", name, INTERVENTIONS)
        object.__setattr__(self, "explain", whole_number(self.explain, "explain", 0))
        if self.limit is not None:
            object.__setattr__(self, "limit", whole_number(self.limit, "limit"))
        names = [name for name in INTERVENTIONS if name in {*NEEDED, *self.interventions}]
        object.__setattr__(self, "interventions", tuple(names))


def audit(
    model,
    dataset: str | VideoDataset | DataConfig,
    out: str | os.PathLike = "runs/audit",
    *,
    split: str = "validation",
    limit: int | None = None,
    explain: int = 12,
    interventions: Sequence[str] = tuple(INTERVENTIONS),
    maps: str | None = None,
    seed: int = 0,
    load: Mapping[str, Any] | None = None,
    **settings,
) -> Audit:
    """Audits a model on a data set: what it needs, when and where it looks, and which shortcuts would do.

    Each clip is shown to the model as it is and under interventions. A run that was stopped continues where it stopped
    when it is started again with the same folder.

    Args:
      model: a path, see `tfvid.load_model`; or a Keras model, a `tfvid.VideoModel` or a model of another make, whose
        classes are those of the data set, in order.
      dataset: a name in `tfvid.data.DATASETS`, a `VideoDataset`, or a `DataConfig`. Clips need labels.
      out: the folder for the results.
      split: the split of the data set.
      limit: the largest number of clips; the classes take turns. None: all.
      explain: the number of clips that are explained, and 0 for none; the classes take turns. A clip takes about
        T (T + 1) passes of the model.
      interventions: names in `tfvid.experiments.audit.interventions.INTERVENTIONS`; "as_is" and "one_frame" are added.
      maps: the method of the maps, a name in `tfvid.explain.EXPLAINERS`; None: the first of LayerCAM, the gradient and
        occlusion that explains the model.
      seed: of everything that is drawn at random.
      load: for a path, further arguments of the loader: ``input_range``, ``channels``, ``output``, ``custom``,
        ``describe``.
      **settings: fields of `DataConfig`, e.g. ``root``, ``options``, ``batch_size``, ``workers``. `num_frames` and
        `size` are used where the model leaves them open.

    Returns:
      An `Audit`.

    Raises:
      ConfigError: an unknown setting, no labelled clip, or `out` holds another audit.
      TfvidError: the model cannot be loaded, does not know the classes, or returns NaN.

    Example:
      >>> found = tfvid.audit("saved_models/fights_i3d", "fight_surv", "runs/audit", root="/data/fight_surv")
      >>> found.quantities["top1"], found.quantities["motion_share"]
    """
    chosen = Settings(split, limit, explain, interventions, maps, seed)
    data, videos = _data(dataset, settings)
    loaded = _loaded(model, videos, data, load or {})
    return run(loaded, videos, data, chosen, Path(out))


def run(model: Loaded, dataset: VideoDataset, data: DataConfig, settings: Settings, out: Path) -> Audit:
    """Runs an audit of a loaded model, see `audit`.

    Args:
      model: the model.
      dataset: the data set.
      data: how its clips are decoded.
      settings: of the audit.
      out: the folder for the results.
    """
    labelled = _labelled(dataset, settings.split)
    samples = labelled if settings.limit is None else in_turn(labelled)[: settings.limit]
    to_model, class_names = model.labels(dataset.class_names, {sample.label for sample in labelled})
    clips = Clips(model, dataset, settings.split, samples, to_model, data)
    made_of = _keep_manifest(out, clips, labelled, settings)
    skipped = _ask(clips, labelled, settings, out)
    names = available(settings.interventions, labelled)
    answers = predictions.read(out, model.name, names, clips.ids, class_names)
    if settings.explain:
        _explain(clips, answers, settings, out, made_of)
    report = write_report(
        out, clips, answers, properties.read(out, answers.ids), manifest=made_of, seed=settings.seed, skipped=skipped
    )
    return Audit(out, report["quantities"], report["classes"], report["findings"], skipped, out / "index.html")


def available(names: Sequence[str], samples: Sequence[Sample]) -> list[str]:
    """Returns the interventions that the clips allow: those that need another class are left out if there is none."""
    several = len({sample.label for sample in samples}) > 1
    return [name for name in names if several or not INTERVENTIONS[name].needs_other]


def _ask(clips: Clips, labelled: list[Sample], settings: Settings, out: Path) -> dict[str, str]:
    """Asks the model about all clips; returns the reason for each clip that cannot be read."""
    names, data = available(settings.interventions, labelled), clips.data
    if not set(clips.ids) - predictions.complete(predictions.store(out), names, clips.model.name):
        return {}
    few = replace(clips, samples=in_turn(labelled)[:BACKGROUNDS])
    needed = any(INTERVENTIONS[name].needs_other for name in names)
    backgrounds = predictions.Backgrounds(few if needed else replace(clips, samples=[]), settings.seed)
    with properties.Files(data.workers, data.time_limit) as files:
        return predictions.Asker(clips, names, backgrounds, files, out, settings.seed).run()


def _explain(clips: Clips, answers: predictions.Answers, settings: Settings, out: Path, made_of: dict) -> None:
    """Explains the first clips of each class, and the clearest clips of the largest confusions."""
    readable = [sample for sample in clips.samples if sample.id in set(answers.ids)]
    explaining = Explaining(clips, out, maps=settings.maps, seed=settings.seed)
    weights = made_of["models"]["model"][0]["weights"]
    made_by = hashlib.sha256(json.dumps([weights, explaining.maps, settings.seed]).encode()).hexdigest()[:16]
    subset = in_turn(readable)[: settings.explain]
    labels = dict(zip(answers.ids, answers.labels.tolist(), strict=True))
    explaining.explain(replace(clips, samples=subset), SAMPLE, labels, made_by)
    wrong = {id: one.answer for one in confusions(answers) for id in one.clips}
    confused = [sample for sample in readable if sample.id in wrong]
    explaining.explain(replace(clips, samples=confused), CONFUSION, wrong, made_by)


def _labelled(dataset: VideoDataset, split: str) -> list[Sample]:
    check_choice("split", split, dataset.splits)
    samples = [sample for sample in dataset.samples(split) if sample.label >= 0]
    if not samples:
        raise ConfigError(f"split {split!r} has no labelled clips; an audit compares answers with labels")
    return samples


def _data(dataset, settings: Mapping) -> tuple[DataConfig, VideoDataset]:
    """Returns how clips are decoded, and the data set."""
    known = [field.name for field in fields(DataConfig)]
    for name in settings:
        if name not in known:
            raise ConfigError(unknown("setting", name, known))
    if isinstance(dataset, DataConfig):
        config = replace(dataset, **settings)
        return config, make_dataset(config)
    if isinstance(dataset, VideoDataset):
        return DataConfig(dataset=dataset.origin, **settings), dataset
    config = DataConfig(dataset=dataset, **settings)
    return config, make_dataset(config)


def _loaded(model, dataset: VideoDataset, data: DataConfig, load: Mapping) -> Loaded:
    """Returns the model with its clip length, frame size and classes."""
    if isinstance(model, Loaded):
        return model
    if isinstance(model, str | os.PathLike):
        return load_models([Path(model)], data.num_frames, data.size, load)[0]
    frames, height, width, _ = clip_shape(adapted(model))
    size = (height or data.size[0], width or data.size[1])
    name = str(getattr(model, "name", None) or "model")
    card = ModelCard(name, tuple(dataset.class_names), frames, size)
    return Loaded(name, Path(name), model, card, frames or data.num_frames, size)


def _keep_manifest(out: Path, clips: Clips, labelled: list[Sample], settings: Settings) -> dict:
    """Writes ``manifest.json``, unless the folder holds another audit; returns its content."""
    data = asdict(clips.data) | {"num_frames": clips.model.num_frames, "size": list(clips.model.size)}
    if data["dataset"] == clips.dataset.origin:
        data["options"] = {"arguments": repr(clips.dataset.arguments)}
    made_of = manifest.describe(asdict(settings) | {"data": data}, {"model": [clips.model]}, clips.dataset, labelled)
    files = [*predictions.store(out).files(), *properties.store(out).files()]
    manifest.keep(out, made_of, decisive=_decisive, files=files)
    return made_of


def _decisive(made_of: dict) -> dict:
    """Returns the entries that must not change between runs in one folder."""
    config, (model,) = made_of["config"], made_of["models"]["model"]
    return (
        {"model": model["name"], "weights": model["weights"], "clips": made_of["dataset"]["fingerprint"]}
        | {key: config[key] for key in ("split", "seed")}
        | {f"data.{key}": config["data"][key] for key in ("num_frames", "size")}
    )
