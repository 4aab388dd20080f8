"""``tfvid-explain``: which frames models need in clips, and where they look; as films, numbers and a page."""

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from tfvid import config as configuration
from tfvid.cli.engine_options import add_engine_options, engine_of
from tfvid.cli.limit import add_limit, at_least, positive
from tfvid.cli.model_options import add_model_options, load_config_of
from tfvid.cli.results_folder import check_folder
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.config import RunConfig
from tfvid.core.engine.base import Engine, cut, finished
from tfvid.core.errors import ConfigError, DataError
from tfvid.core.files import replacing
from tfvid.core.remote import RemoteFolder, is_remote
from tfvid.core.stopping import stop_if_asked, stoppable
from tfvid.core.timing import listed, recording, timed
from tfvid.data.base import VideoDataset
from tfvid.data.choose import choose
from tfvid.data.clip import Sample
from tfvid.data.skipped import SkipLog
from tfvid.data.sources.video_files import VIDEOS, VideoFiles
from tfvid.experiments.explain_clips import TARGETS, explainer_options, finish, summary
from tfvid.experiments.explain_shard import ExplainShard
from tfvid.models.loaded import Loaded, load_models
from tfvid.report.media import FORMATS
from tfvid.report.overlay import COLORMAPS

TIMES = "times.json"


@dataclass
class Times:
    """How long this run took, for its last lines and ``times.json``.

    Attributes:
      explained: how many masks and maps were made, one for each clip and model.
      parts: wall-clock seconds by part, see `tfvid.core.timing`; with several processes, of all of them.
      begun: when, by `time.monotonic`.
    """

    explained: int = 0
    parts: Counter = field(default_factory=Counter)
    begun: float = field(default_factory=time.monotonic)

    def save(self, out: str, folder: Path) -> str:
        """Writes ``times.json`` to the run's folder; returns what to print."""
        total = time.monotonic() - self.begun
        rate = 60 * self.explained / total
        content = {"explained": self.explained, "a_minute": rate, "seconds": total, "parts": dict(self.parts)}
        with replacing(folder / TIMES) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        if is_remote(out):
            RemoteFolder(out).put(folder / TIMES, TIMES)
        return f"{self.explained} explanations in {total:.0f} s, {rate:.0f} a minute: {listed(self.parts)}"


@dataclass(frozen=True)
class Job:
    """What is the same for every model.

    Attributes:
      arguments: of the command line.
      config: the data and the explainers' options.
      dataset: where the clips are from.
      split: of the dataset.
      samples: the clips.
      drawn: the ids of those that get films and pictures.
      engine: does the work.
      folder: where records are read from.
      skipped: the ids of clips that could not be explained, and why; grows.
      times: where the time goes; grows.
    """

    arguments: argparse.Namespace
    config: RunConfig
    dataset: VideoDataset
    split: str
    samples: list[Sample]
    drawn: frozenset[str]
    engine: Engine
    folder: Path
    skipped: dict[str, str] = field(default_factory=dict)
    times: Times = field(default_factory=Times)


@stoppable()
def main(argv: list[str]) -> None:
    """Parses `argv`, explains clips with each model, and writes records, films and the page."""
    overrides = [argument for argument in argv if re.fullmatch(r"[a-z_]+(\.\w+)+=.*", argument, re.DOTALL)]
    arguments = _parser().parse_args([argument for argument in argv if argument not in overrides])
    config = _config(arguments, overrides)
    arguments.model = arguments.model or shipped_models()
    check_folder(arguments.out)
    _check_videos(arguments.video or ())

    load_tensorflow()

    from tfvid.data.pipeline import make_dataset

    dataset = VideoFiles(arguments.video) if arguments.video else make_dataset(config.data)
    split = VIDEOS if arguments.video else arguments.split
    samples = choose(dataset, split, arguments.classes, arguments.limit)
    drawn = _drawn(samples, dataset, split, arguments)
    explainer_options(config.explain.mask, config.explain.grad_cam)  # mistyped ones are refused before the work
    models = load_models(arguments.model, config.data.num_frames, config.data.size, load_config_of(arguments))
    with _records(arguments.out) as folder:
        job = Job(arguments, config, dataset, split, samples, drawn, engine_of(arguments), folder)
        try:
            for number, model in enumerate(models):
                _explain(model, number, job)
        finally:  # also after an error: what is done is shown
            with recording() as seconds, timed("page"):
                page = _finish(arguments, folder, job.skipped)
            job.times.parts.update(seconds)
        paths = {sample.id: sample.path for sample in samples}
        for id, reason in job.skipped.items():
            print(f"skipped: {paths[id] or id}: {reason}")
        if page is None:
            raise DataError(f"none of the {len(samples)} clips could be explained")
        print("\n".join(summary(folder, {model.name: len(model.card.class_names) for model in models})))
        if job.times.explained:
            print(job.times.save(arguments.out, folder))
    print(f"records: {arguments.out}/results.parquet\nopen in a browser: {arguments.out}/{page.name}")


@contextmanager
def _records(out: str) -> Iterator[Path]:
    """The folder that records are read from: `out`, or a copy of those that are in an object store."""
    if not is_remote(out):
        yield Path(out)
        return
    with TemporaryDirectory(prefix="tfvid-") as folder:
        RemoteFolder(out).fetch(Path(folder))
        yield Path(folder)


def _finish(arguments, folder: Path, skipped: dict[str, str]) -> Path | None:
    """Merges the records and writes the page; in an object store the parts go when all else is there."""
    if not is_remote(arguments.out):
        return finish(folder, skipped=skipped, fps=arguments.fps)
    remote = RemoteFolder(arguments.out)
    parts = remote.parts()
    remote.fetch(folder)
    page = finish(folder, skipped=skipped, fps=arguments.fps)
    remote.replace_parts(folder, parts)
    return page


# How masks are found where no option says so: in a fraction of the time that the published 300 steps take.
METHOD = {"method": "search+gradient"}

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


def _explain(model: Loaded, number: int, job: Job):
    """Explains, with the `number`-th model, the samples that have no record yet."""
    from tfvid.experiments.explain_clips import Explainers
    from tfvid.results.result_store import ResultStore

    arguments, config, samples = job.arguments, job.config, job.samples
    wanted = {sample.label for sample in samples if sample.label >= 0}
    to_model, class_names = model.labels(job.dataset.class_names, wanted)
    mask, grad_cam = dict(config.explain.mask), dict(config.explain.grad_cam)
    grad_cam.setdefault("layer", model.card.layer)
    source = _source(arguments, config, job.split, model)
    store = ResultStore(job.folder)
    explaining = {"target": arguments.target, "source": source, "mask": mask, "grad_cam": grad_cam}
    explainers = Explainers(model.model, **explaining)
    store.check(model.name, explainers.settings)
    done = store.done(model.name)
    work = ExplainShard(
        model=model,
        data=tuple(arguments.video) if arguments.video else config.data,
        split=job.split,
        out=arguments.out if is_remote(arguments.out) else str(job.folder.absolute()),
        number=number,
        to_model=to_model,
        # Records are written batch by batch: small ones lose less to a kill, and take no longer on a CPU.
        batch_size=mask.get("batch_size", 4),
        workers=config.data.workers,
        time_limit=config.data.time_limit,
        options={
            "class_names": class_names,
            "formats": tuple(arguments.films),
            "fps": arguments.fps,
            "colormap": arguments.colormap,
        },
        explaining=explaining,
        explainers=explainers,
        drawn=job.drawn,
        store=store if arguments.engine == "local" and not is_remote(arguments.out) else None,
    )
    log = SkipLog(len(samples), _allowed(arguments, config.data.max_bad_share))
    log.max_damaged_share = _allowed(arguments, config.data.max_damaged_share)
    shards = [
        replace(shard, items=items)
        for shard in cut(samples, arguments.shard_size)
        if (items := tuple(sample for sample in shard.items if sample.id not in done))
    ]
    bar = tqdm(total=len(samples), initial=sum(sample.id in done for sample in samples), desc=model.name, unit="clip")
    try:
        with bar:
            for end in finished(job.engine, work, shards, bar.update):
                skipped = {end.shard.items[0].id: end.error} if end.error else end.value.skipped
                for id, reason in skipped.items():
                    log.bad(id, reason)
                for id, damage in ({} if end.error else end.value.damaged).items():
                    log.damage(id, damage)
                job.times.explained += len(end.shard.items) - len(skipped)
                job.times.parts.update({} if end.error else end.value.seconds)
                bar.set_postfix(skipped=len(log.reasons))
                stop_if_asked()  # of work elsewhere; here it was asked after each batch
        scaled = explainers.learn.classifier.input_range  # "auto" where nothing was explained in this process
        if scaled not in ("auto", None, (0.0, 1.0)):
            print(f"{model.name}: clips in [0, 1] are scaled to the model's {scaled[0]:g} to {scaled[1]:g}")
    finally:
        job.skipped.update(log.reasons)


def _drawn(samples: list[Sample], dataset: VideoDataset, split: str, arguments) -> frozenset[str]:
    """The ids of the clips that get films and pictures: all, or the first `--draw` of them, all classes in turn."""
    if arguments.draw == 0:
        return frozenset()
    if arguments.draw is not None:
        samples = choose(dataset, split, arguments.classes, arguments.draw)
    return frozenset(sample.id for sample in samples)


def _allowed(arguments, share: float) -> float:
    """The share of clips that may be bad, or damaged; files named one by one are all tried."""
    return 1.0 if arguments.video else share


def _source(arguments, config: RunConfig, split: str, model) -> str:
    """Where the clips come from and how they were sampled, so that records of other clips are told apart."""
    data = config.data
    place = "files" if arguments.video else f"{data.records or data.dataset} {data.root or ''} {data.options or ''}"
    return " ".join(f"{place} {split} {model.num_frames}x{model.size[0]}x{model.size[1]}".split())


def _check_videos(paths: Iterable[str]) -> None:
    """Refuses files that are not there, and names that the records and the page cannot hold.

    Raises:
      DataError: one line that names the file.
    """
    for path in paths:
        if not Path(path).exists():
            raise DataError(f"{path}: no such file")
        try:
            path.encode()
        except UnicodeEncodeError:
            encoding = sys.getfilesystemencoding()
            raise DataError(f"{path}: this name is not {encoding} text; rename the file, or set PYTHONUTF8=1") from None


def _config(arguments, overrides: list[str]) -> RunConfig:
    if arguments.root and not arguments.dataset:
        raise ConfigError("--root goes with --dataset; with --config it is data.root=FOLDER")
    overrides = [f"explain.{text}" if text.startswith(("mask.", "grad_cam.")) else text for text in overrides]
    if arguments.config:
        config = configuration.load(arguments.config, overrides)
    else:
        data = {"dataset": arguments.dataset or "shapes", "root": arguments.root}
        config = configuration.from_dict(configuration.override({"data": data}, overrides), " ".join(overrides))
    return replace(config, explain=replace(config.explain, mask=METHOD | config.explain.mask))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfvid-explain",
        description="Explain video classifiers: learned temporal masks and Grad-CAM, as films, numbers and a page. "
        "A run that was stopped continues where it stopped.",
        epilog="Further arguments of the form key=value change a setting, for example mask.iterations=100, "
        "grad_cam.layer=Mixed_5c or data.options.seed=1.",
    )
    parser.add_argument(
        "--model",
        action="append",
        type=Path,
        help="runs/<name>, saved_models/<name> or a .keras or .h5 file; repeat it to explain with several models "
        "(default: the two small models that come with tfvid)",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--video", nargs="+", metavar="PATH", help="video files, or folders of frames or of videos")
    source.add_argument("--config", help="a run's YAML file, for its data and explain settings")
    source.add_argument("--dataset", help="name of a dataset; --root says where it lies")
    parser.add_argument("--root", help="the dataset's folder")
    parser.add_argument("--split", default="validation", help="split of the dataset (default: %(default)s)")
    add_limit(parser)
    parser.add_argument("--classes", nargs="+", metavar="CLASS", help="use clips of these classes only")
    parser.add_argument(
        "--target", choices=TARGETS, default="predicted", help="which class is explained (default: %(default)s)"
    )
    parser.add_argument(
        "--out",
        default="runs/explain",
        help="folder for the results, or a URI such as s3://bucket/run (default: %(default)s)",
    )
    add_model_options(parser)
    add_engine_options(parser)
    parser.add_argument(
        "--shard-size",
        type=positive,
        default=32,
        help="clips that the engine gives out at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--draw",
        type=partial(at_least, 0),
        metavar="N",
        help="make pictures and films, and show on the page, N clips only; the classes take turns (default: all)",
    )
    parser.add_argument(
        "--films",
        nargs="*",
        choices=FORMATS,
        default=FORMATS,
        help="formats of the films (default: all); none where no format follows",
    )
    parser.add_argument("--fps", type=positive, default=5, help="frames per second of the films (default: %(default)s)")
    parser.add_argument(
        "--colormap", choices=COLORMAPS, default="inferno", help="colours of the Grad-CAM maps (default: %(default)s)"
    )
    return parser
