"""Runs the benchmark on one network: each method explains the clips, and each measure evaluates the maps. Resumable.

network ─► batch of clips ─► method ─► map ─► measures ─► record
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfvid.config import MethodConfig
from tfvid.core.errors import ModelError
from tfvid.core.stopping import stop_if_asked
from tfvid.data.skipped import SkipLog
from tfvid.experiments.attribution import records
from tfvid.experiments.attribution.measures import Measure
from tfvid.experiments.attribution.methods import Maps, Method, baseline, build
from tfvid.experiments.clips import Clips
from tfvid.metrics.baselines import BASELINES
from tfvid.metrics.faithfulness.scorer import Scorer


def text_batches(clips: Clips, done: Iterable[str] = (), limit: int | None = None) -> Iterator[dict]:
    """Yields the batches of `clips` with ids as text.

    Args:
      clips: of a network.
      done: ids of the clips to leave out.
      limit: maximum number of clips; None: all. See `Clips.batches`.
    """
    log = SkipLog()
    with log.plain_errors():
        for batch in clips.batches(set(done), log=log, limit=limit):
            yield batch | {"id": np.array([id.decode() for id in batch["id"].tolist()], object)}


class Judge:
    """Runs and evaluates all methods on one network.

    Args:
      name: of the network.
      clips: of the network.
      methods: the methods, with the baselines.
      measures: the measures that evaluate each map.
      made_by: the digests of the records, see `tfvid.experiments.attribution.records.made_by`.
      out: the benchmark's folder.
      target: the class explained: each clip's "predicted" or "true" class.
      seed: the seed of all random numbers.
    """

    def __init__(
        self,
        name: str,
        clips: Clips,
        methods: Sequence[MethodConfig],
        measures: Sequence[Measure],
        made_by: Mapping[tuple[str, str], str],
        out: Path,
        *,
        target: str,
        seed: int,
    ):
        self.name, self.network, self.clips = name, clips.model, clips
        self.methods, self.measures, self.made_by = methods, measures, made_by
        self.target, self.seed = target, seed
        self.place = {id: place for place, id in enumerate(clips.ids)}
        self.store = records.store(out)
        self.scorer = Scorer(self.network.model)  # compiled once for all measures
        self.built: dict[str, Method] = {}
        self.refused: dict[str, str] = {}
        of_this = [record for record in records.read(out, made_by) if record.network == name]
        self.taken = {(record.method, record.clip): record.values.keys() for record in of_this}

    def run(self) -> dict[str, str]:
        """Explains and evaluates the missing clips; returns the error of each method that rejects the network."""
        done = [(method.row, id) for method in self.methods for id in self.clips.ids if self._is_done(method, id)]
        finished = {id for id in self.clips.ids if all((method.row, id) in done for method in self.methods)}
        total = len(self.methods) * len(self.clips.ids)
        with tqdm(total=total, initial=len(done), desc=self.name, unit="map") as bar:
            for batch in text_batches(self.clips, finished):
                for method in self.methods:
                    bar.set_postfix_str(method.row)
                    bar.update(self._judge(method, batch))
        return self.refused

    def _judge(self, method: MethodConfig, batch: Mapping) -> int:
        """Runs and evaluates one method on a batch; returns the number of clips that were missing."""
        todo = [row for row, id in enumerate(batch["id"]) if not self._is_done(method, id)]
        if not todo or method.row in self.refused:
            return len(todo)
        batch = {key: value[todo] for key, value in batch.items()}
        compiles = method.row not in self.built
        try:
            if compiles:
                self.built[method.row] = self._build(method)
            explain = self.built[method.row]
            maps = explain(batch["clip"], batch["label"] if self.target == "true" else None)
        except ModelError as error:
            self.refused[method.row] = str(error)
            return len(todo)
        self.store.append(records.rows(self.records_of(method, batch, maps, explain, compiles)))
        stop_if_asked()
        return len(todo)

    def _build(self, method: MethodConfig) -> Method:
        if method.row in BASELINES:
            return baseline(method.row, self._predicted, self.seed)
        return build(method, self.network.model)

    def _predicted(self, clips) -> np.ndarray:
        clips = tf.convert_to_tensor(clips)
        self.scorer.classifier.prepare(clips)
        return self.scorer.classifier.probabilities(clips).numpy().argmax(axis=-1).astype(np.int32)

    def records_of(self, method, batch, maps: Maps, explain: Method, compiled: bool) -> list[records.Record]:
        """Evaluates a method's maps of a batch, and returns their records."""
        values: list[dict[str, float]] = [{} for _ in batch["id"]]
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
        """Computes a measure of the clips `rows` of a batch."""
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
            batch_size=self.clips.data.batch_size,
            seed=self.seed,
        )

    def _wanted(self, method: MethodConfig, id: str) -> set[str]:
        """Returns the names of the measures that evaluate a method's map of a clip."""
        return {
            measure.name
            for measure in self.measures
            if measure.name not in method.without and (measure.clips is None or self.place[id] < measure.clips)
        }

    def _is_done(self, method: MethodConfig, id: str) -> bool:
        taken = self.taken.get((method.row, id))
        return taken is not None and taken >= self._wanted(method, id)
