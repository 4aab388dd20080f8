"""``tfvid-evaluate``: how good a trained model is, and how much of that rests on time."""

import argparse
import csv
import json
from pathlib import Path

from tfvid.commands.model_options import add_model_options, load_config_of
from tfvid.config import RunConfig, load
from tfvid.errors import ConfigError, ModelError
from tfvid.files import replacing


def main(argv: list[str]) -> None:
    """Parses `argv`, measures the model on one split, and writes JSON, CSV and PNG files."""
    arguments = _parser().parse_intermixed_args(argv)
    config = load(arguments.config or _config_of(arguments.model), arguments.overrides)

    from tfvid.classifier import Classifier
    from tfvid.data.pipeline import load_dataset, make_dataset
    from tfvid.data.skipped import SkipLog
    from tfvid.evaluation import PLAYBACKS, chance_warning, measure, predict
    from tfvid.models.loaded import load_model_as

    model, card = load_model_as(arguments.model, load_config_of(arguments))
    dataset = make_dataset(config.data)
    _check_fit(model, card, config, dataset, arguments)

    skips = SkipLog()
    clips = load_dataset(config.data, arguments.split, skipped=skips)
    with skips.plain_errors():
        classifier = Classifier(model)
        predictions = predict(classifier, clips, PLAYBACKS, config.seed)
    measures = measure(predictions, dataset.reverse_labels)
    results = {
        "model": str(arguments.model),
        "dataset": config.data.dataset,
        "split": arguments.split,
        "input_range": classifier.input_range or (0.0, 1.0),
        "clips": len(predictions.ids),
        "skipped": dict(skips.reasons),
        "class_names": list(dataset.class_names),
        "playbacks": measures,
    }
    out = arguments.out or Path("runs") / card.name / "evaluation" / arguments.split
    _write(out, results, predictions)
    _print(results)
    right = predictions.logits["forward"].argmax(axis=1) == predictions.labels
    if warning := chance_warning(int(right.sum()), len(right), len(dataset.class_names)):
        print(f"warning: {warning}")
    print(f"results: {out}")


def _config_of(model: Path) -> Path:
    """The configuration that lies beside the model."""
    folder = model if model.is_dir() else model.parent
    for place in (folder, folder / "assets.extra"):
        if (place / "config.yaml").is_file():
            return place / "config.yaml"
    raise ConfigError(f"{model}: no config.yaml beside it; name the data with --config")


def _check_fit(model, card, config: RunConfig, dataset, arguments) -> None:
    """Refuses a model that was not made for these classes or this shape of clip."""
    if card.dataset and card.class_names != tuple(dataset.class_names):
        raise ModelError(f"{arguments.model}: it was trained on other classes than those of {config.data.dataset}")
    if len(card.class_names) != len(dataset.class_names):
        known, asked = len(card.class_names), len(dataset.class_names)
        raise ModelError(f"{arguments.model}: it knows {known} classes, {config.data.dataset} has {asked}")
    shape, clip = model.input_shape[1:], (config.data.num_frames, *config.data.size, 3)
    if any(expected not in (None, got) for expected, got in zip(shape, clip, strict=True)):
        raise ModelError(f"{arguments.model}: it takes clips of {shape}, data.num_frames and data.size give {clip}")


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
    low, high = results["input_range"]
    scaled = "" if (low, high) == (0, 1) else f", scaled to the model's {low:g} to {high:g}"
    print(f"{results['clips']} clips of {results['split']}, {len(results['skipped'])} skipped{scaled}")
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
    parser = argparse.ArgumentParser(prog="tfvid-evaluate", description="Measure a trained video classifier.")
    parser.add_argument(
        "--model", required=True, type=Path, help="runs/<name>, saved_models/<name>, a .keras or .h5 file"
    )
    parser.add_argument("--config", type=Path, help="whose data to use; the model's own where not given")
    parser.add_argument("--split", default="validation", help="(%(default)s)")
    parser.add_argument("--out", type=Path, help="folder for the results (runs/<model's name>/evaluation/<split>)")
    add_model_options(parser)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. data.root=/data/ssv2")
    return parser
