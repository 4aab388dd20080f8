"""``tfvid-explain``: which frames models need in clips, and where they look; as films, numbers and a page."""

import argparse
import hashlib
import re
from pathlib import Path

from tqdm import tqdm

from tfvid import config as configuration
from tfvid.config import RunConfig
from tfvid.data.base import Sample, VideoDataset
from tfvid.data.choose import choose
from tfvid.errors import ConfigError, DataError
from tfvid.explanation import TARGETS, explain_clips, explainer_options, finish, summary
from tfvid.models.loaded import load_models
from tfvid.report.media import FORMATS
from tfvid.report.overlay import COLORMAPS


def main(argv: list[str]) -> None:
    """Parses `argv`, explains clips with each model, and writes records, films and the page."""
    overrides = [argument for argument in argv if re.fullmatch(r"[a-z_]+(\.\w+)+=.*", argument, re.DOTALL)]
    arguments = _parser().parse_args([argument for argument in argv if argument not in overrides])
    config = _config(arguments, overrides)
    arguments.model = arguments.model or shipped_models()

    from tfvid.data.pipeline import make_dataset  # TensorFlow takes seconds to load; a mistyped key should not

    dataset = VideoFiles(arguments.video) if arguments.video else make_dataset(config.data)
    split = VIDEOS if arguments.video else arguments.split
    samples = choose(dataset, split, arguments.classes, arguments.limit)
    explainer_options(config.explain.mask, config.explain.grad_cam)  # mistyped ones are refused before the work
    models = load_models(arguments.model, config.data.num_frames, config.data.size)
    skipped: dict[str, str] = {}
    try:
        for model in models:
            _explain(model, dataset, split, samples, arguments, config, skipped)
    finally:  # also after an error: what is done is shown
        page = finish(arguments.out, skipped=skipped, fps=arguments.fps)
    paths = {sample.id: sample.path for sample in samples}
    for id, reason in skipped.items():
        print(f"skipped: {paths[id] or id}: {reason}")
    if page is None:
        raise DataError(f"none of the {len(samples)} clips could be explained")
    print("\n".join(summary(arguments.out)))
    print(f"records: {arguments.out / 'results.parquet'}\nopen in a browser: {page}")


# The models in a checkout's saved_models/, which the demo trains.
SHIPPED = ("shapes_i3d", "shapes_conv_lstm")


def shipped_models() -> list[Path]:
    """The small trained models in a checkout's ``saved_models/``.

    Raises:
      ConfigError: there are none, as where only the package was installed.
    """
    folder = Path(__file__).resolve().parents[2] / "saved_models"
    models = [folder / name for name in SHIPPED if (folder / name).is_dir()]
    if not models:
        raise ConfigError("no model given; name one with --model")
    return models


VIDEOS = "videos"  # the one split of files named one by one


class VideoFiles(VideoDataset):
    """Any video files, without labels.

    Args:
      paths: of the files.
    """

    class_names = ()
    splits = (VIDEOS,)

    def __init__(self, paths: list[str]):
        files = dict.fromkeys(Path(path).absolute() for path in paths)
        self._samples = [Sample(_file_id(file), -1, str(file)) for file in files]

    def samples(self, split: str) -> list[Sample]:
        return list(self._samples)


def _file_id(file: Path) -> str:
    """The file's name, and what tells it from another file of that name or from what it held before."""
    state = [str(file)]
    if file.exists():
        state += [str(file.stat().st_size), str(file.stat().st_mtime_ns)]
    return f"{file.stem}-{hashlib.sha256(' '.join(state).encode()).hexdigest()[:8]}"


def _explain(model, dataset, split: str, samples: list[Sample], arguments, config: RunConfig, skipped: dict[str, str]):
    """Explains, with one model, the samples that have no record yet."""
    from tfvid.data.remaining import remaining_batches
    from tfvid.data.skipped import SkipLog
    from tfvid.results import ResultStore

    wanted = {sample.label for sample in samples if sample.label >= 0}
    to_model, class_names = model.labels(dataset.class_names, wanted)
    done = ResultStore(arguments.out).done(model.name)
    mask, grad_cam = dict(config.explain.mask), dict(config.explain.grad_cam)
    grad_cam.setdefault("layer", model.card.layer)
    bar = tqdm(total=len(samples), initial=sum(sample.id in done for sample in samples), desc=model.name, unit="clip")
    log = SkipLog()
    try:
        with bar, log.plain_errors():
            batches = remaining_batches(
                dataset,
                split,
                samples,
                done,
                to_model,
                num_frames=model.num_frames,
                size=model.size,
                # Records are written batch by batch: small ones lose less to a kill, and take no longer on a CPU.
                batch_size=mask.get("batch_size", 4),
                workers=config.data.workers,
                time_limit=config.data.time_limit,
                max_bad_share=_allowed(arguments, config),
                skipped=log,
            )
            skipped |= explain_clips(
                model.model,
                batches,
                arguments.out,
                name=model.name,
                class_names=class_names,
                mask=mask,
                grad_cam=grad_cam,
                target=arguments.target,
                source=_source(arguments, config, split, model),
                paths={sample.id: sample.path for sample in samples},
                formats=tuple(arguments.films),
                fps=arguments.fps,
                colormap=arguments.colormap,
                progress=bar.update,
            )
    finally:
        skipped |= log.reasons


def _allowed(arguments, config: RunConfig) -> float:
    """The share of clips that may be bad; files named one by one are all tried."""
    return 1.0 if arguments.video else config.data.max_bad_share


def _source(arguments, config: RunConfig, split: str, model) -> str:
    """Where the clips come from and how they were sampled, so that records of other clips are told apart."""
    data = config.data
    place = "files" if arguments.video else f"{data.records or data.dataset} {data.root or ''} {data.options or ''}"
    return " ".join(f"{place} {split} {model.num_frames}x{model.size[0]}x{model.size[1]}".split())


def _config(arguments, overrides: list[str]) -> RunConfig:
    if arguments.root and not arguments.dataset:
        raise ConfigError("--root goes with --dataset; with --config it is data.root=FOLDER")
    overrides = [f"explain.{text}" if text.startswith(("mask.", "grad_cam.")) else text for text in overrides]
    if arguments.config:
        return configuration.load(arguments.config, overrides)
    data = {"dataset": arguments.dataset or "shapes", "root": arguments.root}
    return configuration.from_dict(configuration.override({"data": data}, overrides), " ".join(overrides))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfvid-explain",
        description="Explain video classifiers: learned temporal masks and Grad-CAM, as films, numbers and a page. "
        "A run that was stopped goes on where it was.",
        epilog="Also: key=value, e.g. mask.iterations=100 grad_cam.layer=Mixed_5c data.options.seed=1",
    )
    parser.add_argument(
        "--model",
        action="append",
        type=Path,
        help="runs/<name>, saved_models/<name> or a .keras file; twice to compare two (both that come with tfvid)",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--video", nargs="+", metavar="FILE", help="video files of any length and size")
    source.add_argument("--config", help="a run's YAML file: its data and explain settings")
    source.add_argument("--dataset", help="a dataset by name, with --root")
    parser.add_argument("--root", help="the dataset's folder")
    parser.add_argument("--split", default="validation", help="of the dataset (%(default)s)")
    parser.add_argument("--limit", type=_positive, help="at most so many clips, all classes in turn")
    parser.add_argument("--classes", nargs="+", metavar="CLASS", help="clips of these classes only")
    parser.add_argument("--target", choices=TARGETS, default="predicted", help="the class explained (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/explain"), help="(%(default)s)")
    parser.add_argument("--films", nargs="*", choices=FORMATS, default=FORMATS, help="film formats (all)")
    parser.add_argument("--fps", type=_positive, default=5, help="frames a second of the films (%(default)s)")
    parser.add_argument("--colormap", choices=COLORMAPS, default="inferno", help="of the heat (%(default)s)")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return number
