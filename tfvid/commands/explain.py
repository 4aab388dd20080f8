"""``tfvid-explain``: which frames models need in clips, and where they look; as films, numbers and a page."""

import argparse
import copy
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from tfvid import config as configuration
from tfvid.config import RunConfig
from tfvid.data.base import Sample, VideoDataset
from tfvid.data.choose import choose
from tfvid.errors import ConfigError, DataError, ModelError
from tfvid.explanation import TARGETS, explain_clips, explainer_options, finish, summary
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
    models = _load(arguments.model, config)
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


@dataclass(frozen=True)
class Loaded:
    """A model with what it needs to know."""

    name: str
    path: Path
    model: object
    card: object
    num_frames: int
    size: tuple[int, int]


def _load(paths: list[Path], config: RunConfig) -> list[Loaded]:
    from tfvid.models.loading import load_card, load_model

    loaded = []
    for path in paths:
        model = load_model(path)
        card = load_card(path, model)
        num_frames, size = card.num_frames or config.data.num_frames, card.size or config.data.size
        loaded.append(Loaded(card.name, path, model, card, num_frames, tuple(size)))
    names = [model.name for model in loaded]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two models are called {name!r}, see the card.json beside each; give one another name")
    return loaded


def _explain(
    model: Loaded, dataset, split: str, samples: list[Sample], arguments, config: RunConfig, skipped: dict[str, str]
):
    """Explains, with one model, the samples that have no record yet."""
    from tfvid.data.pipeline import load_dataset
    from tfvid.data.skipped import SkipLog
    from tfvid.results import ResultStore

    to_model, class_names = _labels(model, dataset, samples)
    done = ResultStore(arguments.out).done(model.name)
    missing = [sample for sample in samples if sample.id not in done]
    # Only what is missing is decoded. The dataset stays what it is otherwise: decode processes rebuild it by name.
    remaining = copy.copy(dataset)
    remaining.samples = lambda _: missing
    mask, grad_cam = dict(config.explain.mask), dict(config.explain.grad_cam)
    grad_cam.setdefault("layer", model.card.layer)
    bar = tqdm(total=len(samples), initial=len(samples) - len(missing), desc=model.name, unit="clip")
    log = SkipLog()
    try:
        with bar, log.plain_errors():
            batches = ()
            if missing:
                # Records are written batch by batch: small ones lose less to a kill, and take no longer on a CPU.
                batches = load_dataset(
                    remaining,
                    split,
                    num_frames=model.num_frames,
                    size=model.size,
                    batch_size=mask.get("batch_size", 4),
                    workers=config.data.workers,
                    time_limit=config.data.time_limit,
                    # The allowed share is of the whole run, not of what a second start finds missing.
                    max_bad_share=min(1.0, _allowed(arguments, config) * len(samples) / len(missing)),
                    skipped=log,
                )
            skipped |= explain_clips(
                model.model,
                _relabelled(batches, to_model, {sample.id for sample in missing}),
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


def _source(arguments, config: RunConfig, split: str, model: Loaded) -> str:
    """Where the clips come from and how they were sampled, so that records of other clips are told apart."""
    data = config.data
    place = "files" if arguments.video else f"{data.records or data.dataset} {data.root or ''} {data.options or ''}"
    return " ".join(f"{place} {split} {model.num_frames}x{model.size[0]}x{model.size[1]}".split())


def _labels(model: Loaded, dataset, samples: list[Sample]) -> tuple[dict[int, int], tuple[str, ...]]:
    """The model's label by the dataset's, and the names of the model's classes.

    Raises:
      ModelError: the model does not know a class that is to be explained.
    """
    known, names = model.card.class_names, dataset.class_names
    wanted = sorted({sample.label for sample in samples if sample.label >= 0})
    if all(names[label] in known for label in wanted):
        return {label: known.index(names[label]) for label in wanted}, known
    if not model.card.dataset and len(known) == len(names):  # no card came with it: its classes have no names
        return {label: label for label in wanted}, tuple(names)
    lacking = next(names[label] for label in wanted if names[label] not in known)
    raise ModelError(f"{model.path}: the model knows no class {lacking!r}; choose with --classes")


def _relabelled(batches, to_model: dict[int, int], wanted: set[str]):
    """The batches with the model's labels, without the clips not asked for (shards are read from the start)."""
    left = set(wanted)
    for batch in batches:
        batch = {key: value.numpy() for key, value in batch.items()}
        ids = [id.decode() for id in batch["id"]]
        rows = [row for row, id in enumerate(ids) if id in wanted]
        if rows:
            batch = {key: value[rows] for key, value in batch.items()}
            batch["label"][:] = [to_model.get(label, -1) for label in batch["label"].tolist()]
            yield batch
        left -= set(ids)
        if not left:
            return


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
