"""Explains one shard of clips with one model, in this process or on another machine."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tfvid.core.engine.base import Shard
from tfvid.core.remote import RemoteFolder, is_remote
from tfvid.core.timing import recording, timed
from tfvid.data.base import VideoDataset
from tfvid.data.settings import DataConfig
from tfvid.data.sources.video_files import VideoFiles
from tfvid.models.loaded import Loaded, load_models
from tfvid.report.media import Films


@dataclass(frozen=True)
class Outcome:
    """The outcome of a shard.

    Attributes:
      skipped: the reason for each skipped clip, by id.
      damaged: the damage of each damaged clip, by id.
      seconds: wall-clock seconds by part of the work, see `tfvid.core.timing`.
    """

    skipped: dict[str, str]
    damaged: dict[str, str]
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class ExplainShard:
    """The explanation of a shard of clips, as work for an engine.

    When it is pickled for another process, the model, its explainers and the store are left out. The other process
    loads the model and compiles the explainers once. It writes the films of a shard first, and then its records, as one
    part of the store with the name of the shard.

    Attributes:
      model: the model that is explained.
      data: the source of the clips: a configuration, or paths of video files.
      split: the split of the dataset.
      out: the folder for the results, which all processes can access: a path, or a URI, see `tfvid.core.remote`.
      number: the number of the model in the run, from 0; parts are sorted by models, then by shards.
      to_model: for each label of the dataset, the model's label.
      batch_size: the number of clips explained at a time.
      workers: the number of processes that decode clips; None for one per processor core.
      time_limit: the maximum number of seconds to decode a file.
      class_names: the names of the model's classes.
      films: the films and pictures to write.
      explaining: the arguments of `ClipExplainers`.
      explainers: `ClipExplainers` of the model; None if they are not built yet.
      store: the store for the records; None to write them as a part.
    """

    model: Loaded
    data: DataConfig | tuple[str, ...]
    split: str
    out: str
    number: int
    to_model: dict[int, int]
    batch_size: int
    workers: int | None
    time_limit: float
    class_names: tuple[str, ...]
    films: Films
    explaining: Mapping
    explainers: Any = None
    store: Any = None

    def __getstate__(self):
        return vars(self) | {"model": replace(self.model, model=None), "explainers": None, "store": None}

    def __call__(self, shard: Shard, progress) -> Outcome:
        """Explains the samples of `shard`."""
        with recording() as seconds:
            skipped, damaged = self._run(shard, progress)
        return Outcome(skipped, damaged, seconds)

    def _run(self, shard: Shard, progress) -> tuple[dict[str, str], dict[str, str]]:
        if not is_remote(self.out):
            return self._explain(shard, progress, Path(self.out))
        with TemporaryDirectory(prefix="tfvid-") as folder:
            found = self._explain(shard, progress, Path(folder))
            with timed("upload"):
                RemoteFolder(self.out).upload(Path(folder))
        return found

    def _explain(self, shard: Shard, progress, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
        """Returns the reason for each skipped clip, and the damage of each damaged clip, by id."""
        from tfvid.data.pipeline.remaining import remaining_batches
        from tfvid.data.skipped import SkipLog
        from tfvid.experiments.explain_clips import explain_batches
        from tfvid.experiments.explanation_writer import ExplanationWriter
        from tfvid.experiments.originals import Originals
        from tfvid.results.result_store import ResultPart

        with timed("load"):
            model = self.model if self.model.model is not None else _loaded(self.model)
        explainers = self.explainers or _explainers(model, self.explaining)
        dataset, is_files = _dataset(self.data), isinstance(self.data, tuple)
        log, samples = SkipLog(), list(shard.items)
        store = self.store or ResultPart(folder, f"shard-{self.number:03d}-{shard.name}-{_digest(samples)}")
        with log.plain_errors():
            batches = remaining_batches(
                dataset,
                self.split,
                samples,
                set(),
                self.to_model,
                num_frames=model.num_frames,
                size=model.size,
                batch_size=self.batch_size,
                workers=self.workers,
                time_limit=self.time_limit,
                max_bad_share=1.0,  # the caller checks the share over all shards
                skipped=log,
            )
            not_finite = explain_batches(
                explainers,
                batches,
                ExplanationWriter(
                    folder,
                    store,
                    films=self.films,
                    progress=progress,
                    originals=Originals({sample.id: sample for sample in samples}, self.time_limit)
                    if is_files
                    else None,
                ),
                name=model.name,
                class_names=self.class_names,
                paths={sample.id: sample.path for sample in samples},
            )
        if self.store is None:
            store.write()
        return log.reasons | not_finite, log.damaged


_datasets: dict[str, VideoDataset] = {}  # kept in each process, since some data sets read long lists of files


def _dataset(data: DataConfig | tuple[str, ...]) -> VideoDataset:
    from tfvid.data.pipeline import make_dataset

    if isinstance(data, tuple):
        return VideoFiles(list(data))
    key = repr(data)
    if key not in _datasets:
        _datasets[key] = make_dataset(data)
    return _datasets[key]


_kept: dict[str, object] = {}  # the explainers of this process, by model and options


def _explainers(model: Loaded, explaining: Mapping):
    from tfvid.experiments.clip_explainers import ClipExplainers

    key = repr((str(model.path.absolute()), model.options, sorted(explaining.items())))
    if key not in _kept:
        _kept[key] = ClipExplainers(model.model, **explaining)
    return _kept[key]


def _digest(samples) -> str:
    """Returns a digest of the clips. A later run has fewer clips in a shard, and must not replace the earlier part."""
    return hashlib.sha256("\n".join(sample.id for sample in samples).encode()).hexdigest()[:8]


@cache
def _load(path: Path, num_frames: int, size: tuple[int, int], options: tuple[tuple[str, object], ...]) -> Loaded:
    return load_models([path], num_frames, size, dict(options))[0]


def _loaded(model: Loaded) -> Loaded:
    return _load(model.path.absolute(), model.num_frames, model.size, tuple(model.options.items()))
