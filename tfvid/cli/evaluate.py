"""``tfvid evaluate``: measures the accuracy of a model, and how much it depends on the order of the frames."""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from tfvid.cli.limit import add_limit
from tfvid.cli.model_options import add_model_options, load_config_of
from tfvid.cli.overrides import add_overrides
from tfvid.cli.results_folder import check_folder
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.config import RunConfig, load
from tfvid.core.errors import ConfigError, ModelError


def main(argv: list[str]) -> None:
    """Parses `argv`, measures the model on one split, and writes JSON, CSV and PNG files."""
    arguments = _parser().parse_intermixed_args(argv)
    config = _config(arguments)
    check_folder(arguments.out or "runs")
    load_tensorflow()

    from tfvid.adapters.makes import classifier_of
    from tfvid.cli.evaluation_files import write_evaluation
    from tfvid.data.pipeline import make_dataset
    from tfvid.data.skipped import SkipLog
    from tfvid.models.loaded import load_model_as

    model, card = load_model_as(arguments.model, **load_config_of(arguments).load_options())
    dataset = make_dataset(config.data)
    _check_fit(model, card, config, dataset, arguments)
    classifier, skips = classifier_of(model), SkipLog()
    evaluation = _evaluate(classifier, card.name, dataset, config, skips, arguments)
    results = {
        "model": str(arguments.model),
        "dataset": config.data.dataset,
        "split": arguments.split,
        "limit": arguments.limit,
        "input_range": classifier.input_range or (0.0, 1.0),
        "clips": len(evaluation.predictions.ids),
        "skipped": dict(skips.reasons),
        "damaged": dict(skips.damaged),
        "class_names": list(dataset.class_names),
        "playbacks": evaluation.measures,
    }
    part = arguments.split if arguments.limit is None else f"{arguments.split}-limit-{arguments.limit}"
    out = arguments.out or Path("runs") / card.name / "evaluation" / part
    write_evaluation(out, results, evaluation.predictions)
    _print(results)
    if evaluation.warning:
        print(f"warning: {evaluation.warning}")
    print(f"results: {out}")


def _evaluate(classifier, title: str, dataset, config: RunConfig, skips, arguments):
    """The `Evaluation`, with a progress bar called `title`."""
    from tfvid.data.pipeline import load_dataset
    from tfvid.experiments.evaluation import evaluate

    clips = load_dataset(config.data, arguments.split, skipped=skips, limit=arguments.limit)
    with skips.plain_errors(), tqdm(total=skips.total, desc=title, unit="clip", dynamic_ncols=True) as bar:
        return evaluate(
            classifier,
            _counted(clips, bar, skips),
            class_names=dataset.class_names,
            reverse_labels=dataset.reverse_labels,
            seed=config.seed,
            name=str(arguments.model),
        )


def _counted(batches: Iterable[Mapping], bar: tqdm, skips) -> Iterator[Mapping]:
    """The batches. The bar advances when the next batch is requested: the model has then processed this one."""
    for batch in batches:
        yield batch
        bar.set_postfix(skipped=len(skips.reasons), refresh=False)
        bar.update(len(batch["label"]))


def _config(arguments) -> RunConfig:
    """The configuration that --config names, or the one that was saved with the model.

    The saved one may name shards that do not exist on this machine. Their original data set is read instead.

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
    """The path of the configuration beside the model."""
    folder = model if model.is_dir() else model.parent
    for place in (folder, folder / "assets.extra"):
        if (place / "config.yaml").is_file():
            return place / "config.yaml"
    load_tensorflow()
    from tfvid.models.loading import model_file

    model_file(model)  # raises where there is no model
    raise ConfigError(f"{model}: no config.yaml beside it; name the data with --config")


def _check_fit(model, card, config: RunConfig, dataset, arguments) -> None:
    """Raises ModelError if the model has other classes or expects clips of another shape."""
    from tfvid.network.stated import input_shape

    if card.dataset and card.class_names != tuple(dataset.class_names):
        raise ModelError(
            f"{arguments.model}: the model was trained on other classes than those of {config.data.dataset}"
        )
    if len(card.class_names) != len(dataset.class_names):
        known, asked = len(card.class_names), len(dataset.class_names)
        raise ModelError(f"{arguments.model}: the model has {known} classes, {config.data.dataset} has {asked}")
    shape, clip = input_shape(model), (None, config.data.num_frames, *config.data.size, 3)
    if shape is not None and not _agree(shape, clip):
        raise ModelError(
            f"{arguments.model}: the model expects clips of {shape[1:]}, data.num_frames and data.size give {clip[1:]}"
        )


def _agree(shape: tuple, clip: tuple) -> bool:
    """Returns whether a model with this input shape accepts clips of shape `clip`; None stands for any size."""
    return len(shape) == len(clip) and all(
        expected in (None, got) for expected, got in zip(shape[1:], clip[1:], strict=True)
    )


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
            f"{forward['paired_clips']} clips of classes that reversing swaps: {right:.3f} correct as they are, "
            f"{swapped:.3f} predicted as the opposite class when reversed"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfvid evaluate",
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
    add_overrides(parser, "settings of the YAML file to change: data.root=/data/ssv2")
    return parser
