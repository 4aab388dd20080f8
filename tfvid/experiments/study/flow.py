"""Runs a study. Each step saves its results clip by clip, and a restarted study computes only the missing ones."""

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tfvid.config import ClassesConfig, StudyConfig, from_dict
from tfvid.core.errors import ConfigError, ModelError, unknown
from tfvid.core.files import replacing
from tfvid.core.stopping import stop_if_asked
from tfvid.data.base import VideoDataset
from tfvid.data.choose import choose, in_turn
from tfvid.data.decode.clip import Sample
from tfvid.data.pipeline import make_dataset
from tfvid.data.settings import DataConfig
from tfvid.data.skipped import SkipLog, damage_line
from tfvid.experiments import manifest
from tfvid.experiments.clip_explainers import GRAD_CAM, ClipExplainers
from tfvid.experiments.clips import Clips, task
from tfvid.experiments.evaluation import chance_warning, stream
from tfvid.experiments.explain_clips import explain_batches
from tfvid.experiments.explanation_writer import ExplanationWriter
from tfvid.experiments.groups import load_groups
from tfvid.experiments.study import measures, predictions
from tfvid.experiments.study.report import write_report
from tfvid.explain.recorded_options import explainer_options
from tfvid.models.loaded import Loaded
from tfvid.report.media import Films
from tfvid.results.result_store import ResultStore

FPS = 5.0
METHODS = "methods.json"


def compare(models: Mapping[str, Any], dataset, out, **options) -> dict:
    """Compares models on a dataset as the paper compares I3D and C-LSTM.

    A stopped run continues at the next clip if it is started again with the same `out`.

    Args:
      models: for each group, its name and the path of a model, or a list of paths, e.g. of one architecture trained
        with several seeds. At least two groups.
      dataset: a name in `tfvid.data.DATASETS`, or a `DataConfig`, or a dict of its fields.
      out: the study's folder, see docs/comparing.md.
      **options: further fields of `tfvid.config.StudyConfig`, e.g. split, classes, limit and mask.

    Returns:
      The report, as in ``report.json``.

    Raises:
      TfvidError: the models differ in inputs or classes; a class has no clips; `out` holds the results of another
        study; or a file cannot be read.

    Example:
      >>> models = {"I3D": "saved_models/shapes_i3d", "C-LSTM": "saved_models/shapes_conv_lstm"}
      >>> tfvid.study.compare(models, "shapes", "runs/study", limit=56)["findings"][0]["answer"]
    """
    groups = [
        {"name": name, "paths": [os.fspath(path) for path in ([given] if isinstance(given, (str, Path)) else given)]}
        for name, given in models.items()
    ]
    data = asdict(dataset) if isinstance(dataset, DataConfig) else dataset
    data = {"dataset": data} if isinstance(data, str) else data
    return run(from_dict({"models": groups, "data": data} | options, "compare", StudyConfig), out)


def run(config: StudyConfig, out) -> dict:
    """Runs the study of `config` in the folder `out`. A stopped run continues at the next clip.

    Args:
      config: of the study.
      out: the study's folder, see docs/comparing.md.

    Returns:
      The report, as in ``report.json``.

    Raises:
      TfvidError: the models differ in inputs or classes; a class has no clips; `out` holds the results of another
        study; or a file cannot be read.
    """
    out = Path(out)
    explainer_options(config.mask, config.grad_cam)  # raises for unknown options before any computation
    dataset = make_dataset(config.data)
    samples = _labelled(dataset, config)
    models = _load(config)
    loaded = [model for members in models.values() for model in members]
    to_model, class_names = _fit(loaded, dataset, samples)
    groups = {group: [model.name for model in members] for group, members in models.items()}
    made_of = manifest.describe(asdict(config), models, dataset, samples)
    manifest.keep(out, made_of)
    first = {members[0].name for members in models.values()}

    clips = [Clips(model, dataset, config.split, samples, to_model, config.data) for model in loaded]
    skipped = _predict_all(clips, out)
    answers = predictions.read(out, groups, class_names)
    _warn_of_chance(answers)
    chosen = _classes(config.classes, dataset, samples, answers.class_f1(), to_model)
    explained = in_turn([sample for sample in samples if dataset.class_names[sample.label] in chosen])[: config.limit]
    filmed = {sample.id for sample in _first_of_each_class(explained, config.film_clips)}
    for of_model in clips:
        shown = filmed if of_model.model.name in first else set()
        skipped |= _explain(replace(of_model, samples=explained), class_names, config, out, shown)
    return write_report(
        out,
        config,
        answers,
        measures.read(out, groups, [sample.id for sample in explained]),
        chosen=[to_model[dataset.class_names.index(name)] for name in chosen],
        reverse_labels=_reverse_labels(dataset, to_model),
        methods=_methods([one for one in clips if one.model.name in first], chosen, config, out),
        manifest=made_of,
        skipped=skipped,
        fps=FPS,
    )


# Checks of models and dataset


def _labelled(dataset: VideoDataset, config: StudyConfig) -> list[Sample]:
    """Returns all samples of the split.

    Raises:
      ConfigError: a clip has no label, or a class of the configuration does not exist or has no clip.
    """
    samples = choose(dataset, config.split, None, None)
    for sample in samples:
        if sample.label < 0:
            raise ConfigError(f"split {config.split!r} of {config.data.dataset}: clip {sample.id} has no label")
    present = {dataset.class_names[sample.label] for sample in samples}
    for name in config.classes.names:
        if name not in dataset.class_names:
            raise ConfigError(f"classes.names: {unknown('class', name, dataset.class_names)}")
        if name not in present:
            raise ConfigError(f"class {name!r} has no clip in split {config.split!r} of {config.data.dataset}")
    return samples


def _fit(models: list[Loaded], dataset: VideoDataset, samples: list[Sample]) -> tuple[dict[int, int], tuple[str, ...]]:
    """Returns the models' label for each label of the dataset, and the class names of the models.

    Raises:
      ModelError: a model has another input shape or other classes than the first one, or lacks a class of the dataset.
    """
    first = models[0]
    for other in models[1:]:
        for what, of_first, of_other in (
            ("takes clips of", _shape(first), _shape(other)),
            ("knows", f"{len(first.card.class_names)} classes", f"{len(other.card.class_names)} classes"),
        ):
            if of_first != of_other:
                raise ModelError(
                    f"{other.path}: {other.name!r} {what} {of_other}, but {first.name!r} {what} {of_first}; "
                    "a study compares models on the same clips and classes"
                )
        if first.card.class_names != other.card.class_names:
            a, b = next(
                pair for pair in zip(first.card.class_names, other.card.class_names, strict=True) if len({*pair}) > 1
            )
            raise ModelError(
                f"{other.path}: {other.name!r} knows other classes than {first.name!r}: {b!r} in the place of {a!r}"
            )
    return first.labels(dataset.class_names, {sample.label for sample in samples})


def _shape(model: Loaded) -> str:
    return f"{model.num_frames} frames of {model.size[0]}x{model.size[1]}"


def _load(config: StudyConfig) -> dict[str, list[Loaded]]:
    """Loads the models of each group.

    Raises:
      ConfigError: a group of several models has the name of a model, or a group has that of another group's model.
    """
    groups = load_groups(config.models, config.data.num_frames, config.data.size)
    for group, own in groups.items():
        for other, members in groups.items():
            if group in [model.name for model in members] and (group != other or len(own) > 1):
                raise ConfigError(f"models: {group!r} is the name of a group and of a model in {other!r}")
    return groups


def _reverse_labels(dataset: VideoDataset, to_model: dict[int, int]) -> dict[int, int] | None:
    if dataset.reverse_labels is None:
        return None
    return {
        to_model[label]: to_model[opposite]
        for label, opposite in dataset.reverse_labels.items()
        if label in to_model and opposite in to_model
    }


# Choice of the clips


def _classes(
    rule: ClassesConfig,
    dataset: VideoDataset,
    samples: list[Sample],
    class_f1: dict[str, list[float]],
    to_model: dict[int, int],
) -> list[str]:
    """Returns the names of the classes to explain, in the dataset's order: as listed, or by the rule."""
    present = {sample.label for sample in samples}
    if rule.names:
        return [name for name in dataset.class_names if name in rule.names]
    chosen = []
    for label in sorted(present):
        f1 = [of_group[to_model[label]] for of_group in class_f1.values()]
        if max(f1) - min(f1) <= rule.max_f1_gap and min(f1) >= rule.min_f1:
            chosen.append(dataset.class_names[label])
    if not chosen:
        raise ConfigError(
            f"no class follows the rule: F1 of {rule.min_f1:g} or more and at most {rule.max_f1_gap:g} apart; "
            "set classes.min_f1, classes.max_f1_gap or classes.names"
        )
    return chosen


def _first_of_each_class(samples: list[Sample], count: int | None) -> list[Sample]:
    """Returns the first `count` samples of each class, in their order; None: all."""
    taken: dict[int, int] = {}
    first = []
    for sample in samples:
        taken[sample.label] = taken.get(sample.label, 0) + 1
        if count is None or taken[sample.label] <= count:
            first.append(sample)
    return first


# The steps, clip by clip


def _predict_all(clips: list[Clips], out: Path) -> dict[str, str]:
    """Saves the predictions of all models; returns the reason for each skipped clip, by id."""
    skipped: dict[str, str] = {}
    damaged: dict[str, str] = {}
    for of_model in clips:
        log = _predict(of_model, out)
        skipped, damaged = skipped | log.reasons, damaged | log.damaged
    if damaged:
        print(damage_line(damaged))
    return skipped


def _predict(clips: Clips, out: Path) -> SkipLog:
    """Saves a model's predictions for the whole split, played forwards and backwards."""
    store, model = predictions.store(out), clips.model
    done = predictions.done(store, model.name)
    with task("predict", clips, done) as (bar, log):
        answers = stream(model.model, clips.batches(done, log=log), predictions.PLAYBACKS)
        for part in _naming(model, answers):
            store.append(predictions.rows(model.name, part))
            bar.update(len(part.ids))
            stop_if_asked()
    store.merge()
    return log


def _naming(model: Loaded, answers):
    """Yields the predictions of a model; an error names the model."""
    try:
        for part in answers:
            names, scores = len(model.card.class_names), part.logits["forward"].shape[1]
            if names != scores:  # the output shape of a subclassed model is unknown before it runs
                raise ModelError(f"{names} class names for a model of {scores} classes")
            yield part
    except ModelError as error:
        raise ModelError(f"model {model.name!r}: {error}") from error


def _warn_of_chance(answers: predictions.Answers):
    """Warns of models whose accuracy is at chance level."""
    for model, columns in answers.columns.items():
        right = columns["forward_predicted"] == columns["label"]
        if warning := chance_warning(int(right.sum()), len(right), len(answers.class_names)):
            warnings.warn(f"model {model!r}: {warning}", RuntimeWarning, stacklevel=3)


def _explain(clips: Clips, class_names, config: StudyConfig, out: Path, shown: set[str]) -> dict[str, str]:
    """Saves masks, maps and measures of the chosen clips; returns the reason for each skipped clip, by id."""
    store, results, model = measures.store(out), ResultStore(out), clips.model
    explainers = ClipExplainers(
        model.model,
        target=config.target,
        source=f"{config.data.dataset} {config.split} {_shape(model)}",
        mask=config.mask,
        methods={GRAD_CAM: {"layer": model.card.layer} | config.grad_cam},
    )

    def measure(records, maps, batch):
        store.append(measures.measure(records, maps, batch, smallest_drop=config.smallest_drop))

    done = results.done(model.name)
    with task("explain", clips, done) as (bar, log):
        films = Films(config.films, FPS, clips=frozenset(shown))
        skipped = explain_batches(
            explainers,
            clips.batches(done, log=log, batch_size=config.mask.get("batch_size", 4)),
            ExplanationWriter(out, results, films=films, measure=measure, progress=bar.update),
            name=model.name,
            class_names=class_names,
            paths={sample.id: sample.path for sample in clips.samples},
        )
    results.merge()
    store.merge()
    return log.reasons | skipped


def _methods(clips: list[Clips], chosen: list[str], config: StudyConfig, out: Path) -> dict[str, list[dict]]:
    """Compares methods to find a mask: rows by model, saved in ``methods.json`` after each model."""
    if not config.method_clips:
        return {}
    from tfvid.experiments.study.methods import method_table

    samples = choose(clips[0].dataset, config.split, chosen, config.method_clips)
    file, asked = out / METHODS, [sample.id for sample in samples]
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    kept = kept["rows"] if kept.get("clips") == asked else {}
    for of_model in clips:
        model = of_model.model
        if model.name in kept:
            continue
        few = replace(of_model, samples=samples)
        with task("methods", few) as (bar, log):
            batches = few.batches(log=log, batch_size=config.mask.get("batch_size", 4))
            kept[model.name] = method_table(model.model, _counted(batches, bar), config.mask, seed=config.seed)
        with replacing(file) as temporary:
            temporary.write_text(json.dumps({"clips": asked, "rows": kept}, indent=1) + "\n", encoding="utf-8")
        stop_if_asked()
    return kept


def _counted(batches, bar):
    for batch in batches:
        yield batch
        bar.update(len(batch["id"]))
