"""What runs: every method explains every clip of every network, and every measure judges the map. Resumable.

network ─► batch of clips ─► method ─► map ─► measures ─► record
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfvid.config import AttributionConfig, MethodConfig
from tfvid.core.errors import ConfigError, ModelError
from tfvid.core.stopping import stop_if_asked
from tfvid.data.base import VideoDataset
from tfvid.data.choose import choose
from tfvid.data.clip import Sample
from tfvid.data.pipeline import make_dataset
from tfvid.data.remaining import remaining_batches
from tfvid.data.skipped import SkipLog
from tfvid.experiments.attribution import records
from tfvid.experiments.attribution.measures import Measure, find_measures
from tfvid.experiments.attribution.methods import BASELINES, Maps, Method, baseline, build, check_options
from tfvid.experiments.attribution.report import write_report
from tfvid.experiments.attribution.sanity import Sanity
from tfvid.experiments.explain_clips import weights_digest
from tfvid.experiments.study import manifest
from tfvid.metrics.faithfulness.scorer import Scorer
from tfvid.models.loaded import Loaded, load_models


def run(config: AttributionConfig, out) -> dict:
    """Runs the benchmark of `config` in the folder `out`; what is there already is not done again.

    A method that does not support a network has a row that says why.

    Returns:
      The report, as in ``report.json``; see `tfvid.experiments.attribution.report`.

    Raises:
      TfvidError: one line on what does not fit: a method, an option or a measure that does not exist, a network that
        does not know the clips' classes, results of another benchmark in `out`, ...
    """
    out = Path(out)
    for method in config.methods:
        check_options(method)
    dataset = make_dataset(config.data)
    measures = find_measures(config.measures, dataset.max_boxes)
    samples = choose(dataset, config.split, list(config.classes), config.limit)
    networks = _load(config)
    clips = {name: Clips(network, dataset, samples, config) for name, network in networks.items()}
    weights = {name: weights_digest(network.model) for name, network in networks.items()}
    made_of = manifest.describe(config, _described(networks, weights), dataset, samples)
    manifest.keep(out, made_of, decisive=_decisive, files=records.store(out).files())

    made_by, refused = records.made_by(config, weights), {}
    sanity = Sanity(out, config, made_by)
    for name, network in networks.items():
        judge = _Judge(name, network, measures, clips[name], config, made_by, out)
        refused[name] = judge.run()
        sanity.check(name, network, clips[name], refused[name])
    records.store(out).merge()
    first = {name: clips[name].first() for name in networks}
    return write_report(
        out,
        config,
        measures,
        records.read(out, made_by, with_maps=True),
        clips=[sample.id for sample in samples],
        refused=refused,
        sanity=sanity.rows,
        first=first,
        manifest=made_of,
    )


class _Judge:
    """All methods on one network."""

    def __init__(self, name: str, network: Loaded, measures: list[Measure], clips: "Clips", config, made_by, out: Path):
        self.name, self.network, self.clips, self.config = name, network, clips, config
        self.measures, self.made_by = measures, made_by
        self.methods = records.with_baselines(config)
        self.store = records.store(out)
        self.scorer = Scorer(network.model)  # compiled once for all measures
        self.built: dict[str, Method] = {}
        self.refused: dict[str, str] = {}
        of_this = [record for record in records.read(out, made_by) if record.network == name]
        self.taken = {(record.method, record.clip): record.values.keys() for record in of_this}

    def run(self) -> dict[str, str]:
        """Explains and judges what is missing; returns why methods refused the network."""
        done = [(method.row, id) for method in self.methods for id in self.clips.ids if self._is_done(method, id)]
        finished = {id for id in self.clips.ids if all((method.row, id) in done for method in self.methods)}
        total = len(self.methods) * len(self.clips.ids)
        with tqdm(total=total, initial=len(done), desc=self.name, unit="map") as bar:
            for batch in self.clips.batches(finished):
                for method in self.methods:
                    bar.set_postfix_str(method.row)
                    bar.update(self._judge(method, batch))
        return self.refused

    def _judge(self, method: MethodConfig, batch: Mapping) -> int:
        """One method on a batch; returns how many of its clips had not been done."""
        todo = [row for row, id in enumerate(batch["id"]) if not self._is_done(method, id)]
        if not todo or method.row in self.refused:
            return len(todo)
        batch = {key: value[todo] for key, value in batch.items()}
        compiles = method.row not in self.built
        try:
            if compiles:
                self.built[method.row] = self._build(method)
            explain = self.built[method.row]
            maps = explain(batch["clip"], batch["label"] if self.config.target == "true" else None)
        except ModelError as error:
            self.refused[method.row] = str(error)
            return len(todo)
        self.store.append(records.rows(self._records(method, batch, maps, explain, compiles)))
        stop_if_asked()
        return len(todo)

    def _build(self, method: MethodConfig) -> Method:
        if method.row in BASELINES:
            return baseline(method.row, self._predicted, self.config.seed)
        return build(method, self.network.model)

    def _predicted(self, clips) -> np.ndarray:
        clips = tf.convert_to_tensor(clips)
        self.scorer.classifier.prepare(clips)
        return self.scorer.classifier.probabilities(clips).numpy().argmax(axis=-1).astype(np.int32)

    def _records(self, method, batch, maps: Maps, explain: Method, compiled: bool) -> list[records.Record]:
        values: list[dict] = [{} for _ in batch["id"]]
        for measure in self.measures:
            rows = [row for row, id in enumerate(batch["id"]) if measure.name in self._wanted(method, id)]
            for row, value in zip(rows, self._measured(measure, batch, maps, explain, rows), strict=True):
                values[row][measure.name] = value
        small = records.coarse(maps.attribution)
        return [
            records.Record(
                network=self.name,
                method=method.row,
                clip=id,
                made_by=self.made_by[self.name, method.row],
                label=batch["label"][row],
                target=maps.target[row],
                predicted=maps.predicted[row],
                seconds=maps.seconds / len(batch["id"]),
                compiled=compiled,
                values=values[row],
                coarse=small[row],
            )
            for row, id in enumerate(batch["id"])
        ]

    def _measured(self, measure: Measure, batch, maps: Maps, explain: Method, rows: list[int]) -> np.ndarray:
        """A measure of some clips of a batch."""
        if not rows:
            return np.empty(0)
        target = maps.target[rows]
        return measure(
            model=self.scorer,
            clips=batch["clip"][rows],
            maps=maps.attribution[rows],
            target=target,
            boxes=batch["boxes"][rows],
            event=batch["event"][rows],
            explain=lambda clips: explain(clips, target).attribution,
            batch_size=self.config.data.batch_size,
            seed=self.config.seed,
        )

    def _wanted(self, method: MethodConfig, id: str) -> set[str]:
        """Names of the measures that are taken of a method's map of a clip."""
        return {
            measure.name
            for measure in self.measures
            if measure.name not in method.without and (measure.clips is None or self.clips.place[id] < measure.clips)
        }

    def _is_done(self, method: MethodConfig, id: str) -> bool:
        taken = self.taken.get((method.row, id))
        return taken is not None and taken >= self._wanted(method, id)


class Clips:
    """The clips that a network is shown.

    Args:
      network: whose size and classes they have.
      dataset: where they are from.
      samples: all of them, in order.
      config: of the benchmark.

    Attributes:
      ids: in order.
      place: of each id in that order.
    """

    def __init__(self, network: Loaded, dataset: VideoDataset, samples: list[Sample], config: AttributionConfig):
        self.network, self.dataset, self.samples, self.config = network, dataset, samples, config
        self.ids = [sample.id for sample in samples]
        self.place = {id: place for place, id in enumerate(self.ids)}
        wanted = {sample.label for sample in samples}
        if config.target == "true" and min(wanted) < 0:
            raise ConfigError(f"target: split {config.split!r} has clips without a label; explain the predicted class")
        self.to_model, _ = network.labels(dataset.class_names, wanted - {-1})

    def batches(self, done: Iterable[str] = (), limit: int | None = None) -> Iterator[dict]:
        """Yields dicts as `tfvid.load_dataset` does, ids as text, of those of the first `limit` clips not `done`."""
        data, log = self.config.data, SkipLog()
        with log.plain_errors():
            for batch in remaining_batches(
                self.dataset,
                self.config.split,
                self.samples[:limit],
                set(done),
                self.to_model,
                num_frames=self.network.num_frames,
                size=self.network.size,
                batch_size=data.batch_size,
                workers=data.workers,
                time_limit=data.time_limit,
                max_bad_share=data.max_bad_share,
                max_damaged_share=data.max_damaged_share,
                skipped=log,
            ):
                yield batch | {"id": np.array([id.decode() for id in batch["id"].tolist()], object)}

    def first(self) -> dict:
        """The first clip, as a batch of one."""
        return {key: value[:1] for key, value in next(self.batches(limit=1)).items()}


def _load(config: AttributionConfig) -> dict[str, Loaded]:
    paths = [network.path for network in config.networks]
    options = [network.load_options() for network in config.networks]
    loaded = load_models(paths, config.data.num_frames, config.data.size, options)
    return {network.name: model for network, model in zip(config.networks, loaded, strict=True)}


def _described(networks: dict[str, Loaded], weights: dict[str, str]) -> dict[str, list[dict]]:
    return {
        name: [{"name": network.name, "path": str(network.path), "weights": weights[name]}]
        for name, network in networks.items()
    }


def _decisive(made_of: dict) -> dict:
    """What may not change from one start to the next; networks, methods and measures may: records know theirs."""
    config = made_of["config"]
    return (
        {"dataset's fingerprint": made_of["dataset"]["fingerprint"]}
        | {key: config[key] for key in ("split", "target", "seed")}
        | {f"data.{key}": config["data"][key] for key in manifest.DECISIVE_DATA}
    )
