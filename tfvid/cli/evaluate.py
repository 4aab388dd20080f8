"""``tfvid-evaluate``: how good a trained model is, and how much of that rests on time."""

import argparse
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from tfvid.cli.limit import add_limit
from tfvid.cli.model_options import add_model_options, load_config_of
from tfvid.cli.results_folder import check_folder
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.config import RunConfig, load
from tfvid.core.errors import ConfigError, ModelError
from tfvid.core.files import replacing


def main(argv: list[str]) -> None:
    """Parses `argv`, measures the model on one split, and writes JSON, CSV and PNG files."""
    arguments = _parser().parse_intermixed_args(argv)
    config = _config(arguments)
    check_folder(arguments.out or "runs")
    load_tensorflow()

    from tfvid.data.pipeline import load_dataset, make_dataset
    from tfvid.data.skipped import SkipLog
    from tfvid.experiments.evaluation import PLAYBACKS, chance_warning, measure, predict
    from tfvid.models.loaded import load_model_as
    from tfvid.network.classifier import Classifier

    model, card = load_model_as(arguments.model, load_config_of(arguments))
    dataset = make_dataset(config.data)
    _check_fit(model, card, config, dataset, arguments)

    skips = SkipLog()
    clips = load_dataset(config.data, arguments.split, skipped=skips, limit=arguments.limit)
    classifier = Classifier(model)
    with skips.plain_errors(), tqdm(total=skips.total, desc=card.name, unit="clip", dynamic_ncols=True) as bar:
        predictions = predict(classifier, _counted(clips, bar, skips), PLAYBACKS, config.seed)
    if (scores := predictions.logits["forward"].shape[1]) != len(dataset.class_names):
        raise ModelError(f"{arguments.model}: {len(dataset.class_names)} class names for a model of {scores} classes")
    measures = measure(predictions, dataset.reverse_labels)
    results = {
        "model": str(arguments.model),
        "dataset": config.data.dataset,
        "split": arguments.split,
        "limit": arguments.limit,
        "input_range": classifier.input_range or (0.0, 1.0),
        "clips": len(predictions.ids),
        "skipped": dict(skips.reasons),
        "damaged": dict(skips.damaged),
        "class_names": list(dataset.class_names),
        "playbacks": measures,
    }
    part = arguments.split if arguments.limit is None else f"{arguments.split}-limit-{arguments.limit}"
    out = arguments.out or Path("runs") / card.name / "evaluation" / part
    _write(out, results, predictions)
    _print(results)
    right = predictions.logits["forward"].argmax(axis=1) == predictions.labels
    if warning := chance_warning(int(right.sum()), len(right), len(dataset.class_names)):
        print(f"warning: {warning}")
    print(f"results: {out}")


def _counted(batches: Iterable[Mapping], bar: tqdm, skips) -> Iterator[Mapping]:
    """The batches; the bar advances when the next one is asked for, which is when the model has answered this one."""
    for batch in batches:
        yield batch
        bar.set_postfix(skipped=len(skips.reasons), refresh=False)
        bar.update(len(batch["label"]))


def _config(arguments) -> RunConfig:
    """The configuration that --config names, or the one that was saved with the model.

    The latter may name shards that lie on another machine, or are gone: the dataset they were made from is then read.

    Raises:
      ConfigError: there is no such model, or no configuration was saved with it.
    """
    if arguments.config:
        return load(arguments.config, arguments.overrides)
    config = load(_config_of(arguments.model), arguments.overrides)
    records = config.data.records
    is_saved = not any(text.startswith("data.records=") for text in arguments.overrides)
    if is_saved and records is not None and "://" not in records and not Path(records).is_dir():
        source = " ".join(filter(None, [config.data.dataset, config.data.root]))
        print(f"{records}: no such folder (data.records of the model's training); reading dataset {source} instead")
        config = replace(config, data=replace(config.data, records=None, service=None))
    return config


def _config_of(model: Path) -> Path:
    """The configuration that lies beside the model."""
    folder = model if model.is_dir() else model.parent
    for place in (folder, folder / "assets.extra"):
        if (place / "config.yaml").is_file():
            return place / "config.yaml"
    load_tensorflow()
    from tfvid.models.loading import model_file

    model_file(model)  # where there is no model, that is the error
    raise ConfigError(f"{model}: no config.yaml beside it; name the data with --config")


def _check_fit(model, card, config: RunConfig, dataset, arguments) -> None:
    """Refuses a model that was not made for these classes or this shape of clip."""
    if card.dataset and card.class_names != tuple(dataset.class_names):
        raise ModelError(f"{arguments.model}: it was trained on other classes than those of {config.data.dataset}")
    if len(card.class_names) != len(dataset.class_names):
        known, asked = len(card.class_names), len(dataset.class_names)
        raise ModelError(f"{arguments.model}: it knows {known} classes, {config.data.dataset} has {asked}")
    shape, clip = getattr(model, "input_shape", None), (None, config.data.num_frames, *config.data.size, 3)
    if isinstance(shape, tuple) and not _agree(shape, clip):  # a subclassed model has none
        raise ModelError(
            f"{arguments.model}: it takes clips of {shape[1:]}, data.num_frames and data.size give {clip[1:]}"
        )


def _agree(shape: tuple, clip: tuple) -> bool:
    """Whether a model of inputs of `shape` takes clips of shape `clip`; None stands for any size."""
    return len(shape) == len(clip) and all(
        expected in (None, got) for expected, got in zip(shape[1:], clip[1:], strict=True)
    )


def _write(out: Path, results: dict, predictions) -> None:
    from tfvid.metrics.classification import confusion
    from tfvid.report.figures import confusion_matrix

    names, playbacks = results["class_names"], results["playbacks"]
    matrices = {
        playback: confusion(predictions.labels, logits.argmax(axis=1), len(names))
        for playback, logits in predictions.logits.items()
    }
    totals = ["top_1", "top_5", "f1", "f1_top_5"]
    _write_csv(
        out / "scores.csv",
        ["playback", *totals],
        [[playback, *(scores[total] for total in totals)] for playback, scores in playbacks.items()],
    )
    counts = matrices["forward"].sum(axis=1).tolist()
    _write_csv(
        out / "class_f1.csv",
        ["class", "clips", *playbacks],
        [
            [name, counts[label], *(scores["class_f1"][label] for scores in playbacks.values())]
            for label, name in enumerate(names)
        ],
    )
    for playback, matrix in matrices.items():
        table = [[name, *row] for name, row in zip(names, matrix.tolist(), strict=True)]
        _write_csv(out / f"confusion_{playback}.csv", ["true \\ predicted", *names], table)
        confusion_matrix(matrix, names, out / f"confusion_{playback}.png", f"{results['split']}, {playback}")
    with replacing(out / "metrics.json") as temporary:
        temporary.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_csv(path: Path, header: list, rows: list[list]) -> None:
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def _print(results: dict) -> None:
    from tfvid.data.skipped import damage_line

    skipped, damaged = len(results["skipped"]), len(results["damaged"])
    low, high = results["input_range"]
    scaled = "" if (low, high) == (0, 1) else f", scaled to the model's {low:g} to {high:g}"
    print(f"{results['clips']} clips of {results['split']}, {skipped} skipped, {damaged} damaged{scaled}")
    if damaged:
        print(damage_line(results["damaged"]))
    print(f"{'clips played':14}  top-1  top-5     F1  F1 top-5")
    for playback, scores in results["playbacks"].items():
        figures = (scores["top_1"], scores["top_5"], scores["f1"], scores["f1_top_5"])
        print(f"{playback:14}  " + "  ".join(f"{figure:.3f}" for figure in figures))
    forward, backward = (results["playbacks"][playback] for playback in ("forward", "reversed"))
    if forward.get("paired_clips"):
        right, swapped = forward["paired_top_1"], backward["swapped_top_1"]
        print(
            f"{forward['paired_clips']} clips of classes that reversing swaps: {right:.3f} right as they are, "
            f"{swapped:.3f} taken for the opposite when reversed"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfvid-evaluate",
        description="Measure a trained video classifier on the clips of a dataset: as they are, played backwards, with "
        "their frames shuffled, and with a single frame repeated.",
    )
    parser.add_argument(
        "--model", required=True, type=Path, help="runs/<name>, saved_models/<name>, a .keras or .h5 file"
    )
    parser.add_argument("--config", type=Path, help="YAML file that names the data (default: the model's)")
    parser.add_argument("--split", default="validation", help="split of the dataset (default: %(default)s)")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for the results (default: runs/<name of the model>/evaluation/<split>; with --limit N "
        ".../<split>-limit-N)",
    )
    add_limit(parser, verb="measure")
    add_model_options(parser)
    words = "settings of the YAML file to change: data.root=/data/ssv2"
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=words)
    return parser
