"""``tfvid explain``: which frames and pixels models rely on in clips; as films, numbers and a page."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tfvid.cli.engine_options import engine_of
from tfvid.cli.explain_job import Job
from tfvid.cli.explain_options import parse
from tfvid.cli.model_options import load_config_of
from tfvid.cli.results_folder import check_folder
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.config import RunConfig
from tfvid.core.errors import ConfigError, DataError
from tfvid.core.remote import RemoteFolder, is_remote
from tfvid.core.stopping import stoppable
from tfvid.core.timing import recording, timed
from tfvid.data.base import VideoDataset
from tfvid.data.choose import choose
from tfvid.data.decode.clip import Sample
from tfvid.data.sources.video_files import VIDEOS, VideoFiles
from tfvid.models.loaded import Loaded, load_models

# The trained models in a checkout's saved_models/; the demo trains models of the first two names.
SHIPPED = ("shapes_i3d", "shapes_conv_lstm")
OF_VIDEOS = ("fights_i3d",)  # it saw real videos, so it is the default for them


@stoppable()
def main(argv: list[str]) -> None:
    """Parses `argv`, explains clips with each model, and writes records, films and the page."""
    arguments, config = parse(argv)
    arguments.model = arguments.model or shipped_models(OF_VIDEOS if arguments.video else SHIPPED)
    check_folder(arguments.out)
    _check_videos(arguments.video or ())

    load_tensorflow()

    from tfvid.experiments.record_settings import record_options

    dataset, split, samples = _clips(arguments, config)
    drawn = _drawn(samples, dataset, split, arguments)
    # Raises on an unknown option, before the work.
    record_options(config.explain.mask, arguments.methods)
    options = load_config_of(arguments).load_options()
    models = load_models(arguments.model, config.data.num_frames, config.data.size, options)
    with _records(arguments.out) as folder:
        job = Job(arguments, config, dataset, split, samples, drawn, engine_of(arguments), folder)
        try:
            works = [job.work(model, number) for number, model in enumerate(models)]  # all are checked first
            while works:
                job.explain(works.pop(0))  # then it is no longer needed
        finally:  # after an error, too, the page shows what is done
            with recording() as seconds, timed("page"):
                page = _finish(arguments, folder, job.skipped, _notes(models))
            job.times.parts.update(seconds)
        _print_outcome(job, models, page)


def shipped_models(names: Iterable[str]) -> list[Path]:
    """Those of the small trained models in a checkout's ``saved_models/`` that have the names.

    Raises:
      ConfigError: there are none, as in an installed package.
    """
    folder = Path(__file__).resolve().parents[2] / "saved_models"
    models = [folder / name for name in names if (folder / name).is_dir()]
    if not models:
        raise ConfigError("no model given; name one with --model")
    return models


def _check_videos(paths: Iterable[str]) -> None:
    """Checks that files exist, and that records and the page can hold their names.

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


def _clips(arguments: argparse.Namespace, config: RunConfig) -> tuple[VideoDataset, str, list[Sample]]:
    """The data set, its split, and the clips of it that the arguments choose."""
    from tfvid.data.pipeline import make_dataset

    dataset = VideoFiles(arguments.video) if arguments.video else make_dataset(config.data)
    split = VIDEOS if arguments.video else arguments.split
    return dataset, split, choose(dataset, split, arguments.classes, arguments.limit)


def _drawn(samples: list[Sample], dataset: VideoDataset, split: str, arguments: argparse.Namespace) -> frozenset[str]:
    """The ids of the clips that get films and pictures: all, or the first `--draw` of them, all classes in turn."""
    if arguments.draw == 0:
        return frozenset()
    if arguments.draw is not None:
        samples = choose(dataset, split, arguments.classes, arguments.draw)
    return frozenset(sample.id for sample in samples)


@contextmanager
def _records(out: str) -> Iterator[Path]:
    """The folder that records are read from: `out`, or a local copy of the records in an object store."""
    if not is_remote(out):
        yield Path(out)
        return
    with TemporaryDirectory(prefix="tfvid-") as folder:
        RemoteFolder(out).fetch(Path(folder))
        yield Path(folder)


def _notes(models: list[Loaded]) -> dict[str, str]:
    """The notes of the models' cards by name."""
    return {model.name: model.card.note for model in models if model.card.note}


def _finish(arguments: argparse.Namespace, folder: Path, skipped: dict[str, str], notes: dict[str, str]) -> Path | None:
    """Merges the records and writes the page. In an object store, the parts are removed last."""
    from tfvid.experiments.explanation_summary import finish

    if not is_remote(arguments.out):
        return finish(folder, skipped=skipped, fps=arguments.fps, notes=notes)
    remote = RemoteFolder(arguments.out)
    parts = remote.parts()
    remote.fetch(folder)
    page = finish(folder, skipped=skipped, fps=arguments.fps, notes=notes)
    remote.replace_parts(folder, parts)
    return page


def _print_outcome(job: Job, models: list[Loaded], page: Path | None) -> None:
    """Prints the skipped clips, a summary for each model, the times, and where the results are.

    Raises:
      DataError: no clip could be explained.
    """
    from tfvid.experiments.explanation_summary import summary

    paths = {sample.id: sample.path for sample in job.samples}
    for id, reason in job.skipped.items():
        print(f"skipped: {paths[id] or id}: {reason}")
    if page is None:
        raise DataError(f"none of the {len(job.samples)} clips could be explained")
    print("\n".join(summary(job.folder, {model.name: len(model.card.class_names) for model in models})))
    for name, note in _notes(models).items():
        print(f"{name}: {note}")
    if job.times.explained:
        print(job.times.save(job.arguments.out, job.folder))
    print(f"records: {job.arguments.out}/results.parquet\nopen in a browser: {job.arguments.out}/{page.name}")
