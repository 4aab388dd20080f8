"""The work of ``tfvid explain``: the clips of one run, explained with one model after the other."""

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tfvid.config import RunConfig
from tfvid.core.engine.base import Done, Engine, Shard, cut, finished
from tfvid.core.files import replacing
from tfvid.core.remote import RemoteFolder, is_remote
from tfvid.core.stopping import stop_if_asked
from tfvid.core.timing import listed
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample
from tfvid.data.skipped import SkipLog
from tfvid.experiments.clip_explainers import GRAD_CAM
from tfvid.experiments.explain_shard import ExplainShard
from tfvid.models.loaded import Loaded
from tfvid.report.media import Films

TIMES = "times.json"


@dataclass
class Times:
    """How long a run took, for its last printed lines and ``times.json``.

    Attributes:
      explained: the number of explanations, one for each clip and model.
      parts: wall-clock seconds by part of the work, summed over all processes; see `tfvid.core.timing`.
      begun: the time of the start, of `time.monotonic`.
    """

    explained: int = 0
    parts: Counter = field(default_factory=Counter)
    begun: float = field(default_factory=time.monotonic)

    def save(self, out: str, folder: Path) -> str:
        """Writes ``times.json`` to the run's folder; returns the line to print."""
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
    """What is the same for every model of a run.

    Attributes:
      arguments: of the command line.
      config: the data and the explainers' options.
      dataset: the data set of the clips.
      split: of the data set.
      samples: the clips.
      drawn: the ids of the clips that get films and pictures.
      engine: runs the work.
      folder: where records are read from.
      skipped: why clips could not be explained, by id; grows during the run.
      times: grows during the run.
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

    def explain(self, work: ExplainShard) -> None:
        """Explains the clips that have no record of the work's model yet."""
        from tfvid.results.result_store import ResultStore

        model, store = work.model, ResultStore(self.folder)
        store.check(model.name, work.explainers.settings)
        done = store.done(model.name)
        if self.arguments.engine == "local" and not is_remote(self.arguments.out):
            work = replace(work, store=store)
        log = self._skip_log()
        initial = sum(sample.id in done for sample in self.samples)
        bar = tqdm(total=len(self.samples), initial=initial, desc=model.name, unit="clip")
        try:
            with bar:
                for end in finished(self.engine, work, self._shards(done), bar.update):
                    self._add(end, log)
                    bar.set_postfix(skipped=len(log.reasons))
                    stop_if_asked()  # needed if other processes do the work; in this process each batch does it
        finally:
            self.skipped.update(log.reasons)
        _print_input_range(model.name, work.explainers)

    def work(self, model: Loaded, number: int) -> ExplainShard:
        """What the engine runs on each shard.

        Args:
          model: the model.
          number: its place among the models of the run, from 0.

        Raises:
          TfvidError: a method does not apply to the model.
        """
        from tfvid.experiments.clip_explainers import ClipExplainers, check_methods

        arguments, data = self.arguments, self.config.data
        mask = dict(self.config.explain.mask)
        methods = {name: dict(options) for name, options in arguments.methods.items()}
        if GRAD_CAM in methods:
            methods[GRAD_CAM].setdefault("layer", model.card.layer)
        explaining = {"target": arguments.target, "source": self._source(model), "mask": mask, "methods": methods}
        wanted = {sample.label for sample in self.samples if sample.label >= 0}
        to_model, class_names = model.labels(self.dataset.class_names, wanted)
        films = Films(tuple(arguments.films), arguments.fps, arguments.colormap, self.drawn)
        explainers = ClipExplainers(model.model, **explaining)
        if list(methods) != [GRAD_CAM]:  # of Grad-CAM alone, the first clips show whether it applies
            clip = np.random.default_rng(0).random((1, model.num_frames, *model.size, 3), np.float32)
            check_methods(model.name, model.model, clip, methods)
        return ExplainShard(
            model=model,
            data=tuple(arguments.video) if arguments.video else data,
            split=self.split,
            out=arguments.out if is_remote(arguments.out) else str(self.folder.absolute()),
            number=number,
            to_model=to_model,
            # Records are written batch by batch: with small batches a kill loses less, at the same speed on a CPU.
            batch_size=mask.get("batch_size", 4),
            workers=data.workers,
            time_limit=data.time_limit,
            class_names=class_names,
            films=films,
            explaining=explaining,
            explainers=explainers,
        )

    def _source(self, model: Loaded) -> str:
        """Where the clips come from and how they were sampled: records of other clips are not mixed with these."""
        data, is_files = self.config.data, bool(self.arguments.video)
        place = "files" if is_files else f"{data.records or data.dataset} {data.root or ''} {data.options or ''}"
        place += "" if is_files or data.events == "own" else f" {data.events}"
        size = f"{model.num_frames}x{model.size[0]}x{model.size[1]}"
        return " ".join(f"{place} {self.split} {size}".split())

    def _shards(self, done: set[str]) -> list[Shard]:
        """The shards of all clips, without the clips that are done; a shard's name does not depend on these."""
        return [
            replace(shard, items=items)
            for shard in cut(self.samples, self.arguments.shard_size)
            if (items := tuple(sample for sample in shard.items if sample.id not in done))
        ]

    def _skip_log(self) -> SkipLog:
        """Files that are named one by one are all tried; of a data set, a share may be bad or damaged."""
        data, is_files = self.config.data, bool(self.arguments.video)
        log = SkipLog(len(self.samples), 1.0 if is_files else data.max_bad_share)
        log.max_damaged_share = 1.0 if is_files else data.max_damaged_share
        return log

    def _add(self, end: Done, log: SkipLog) -> None:
        """Takes the outcome of a shard into the log and the times."""
        if end.error:
            log.bad(end.shard.items[0].id, end.error)
            return
        for id, reason in end.value.skipped.items():
            log.bad(id, reason)
        for id, damage in end.value.damaged.items():
            log.damage(id, damage)
        self.times.explained += len(end.shard.items) - len(end.value.skipped)
        self.times.parts.update(end.value.seconds)


def _print_input_range(name: str, explainers) -> None:
    """Prints the range that the model expects, unless it is 0 to 1 or this process explained nothing."""
    scaled = explainers.learn.classifier.input_range
    if scaled not in ("auto", None, (0.0, 1.0)):
        print(f"{name}: clips in [0, 1] are scaled to the model's {scaled[0]:g} to {scaled[1]:g}")
