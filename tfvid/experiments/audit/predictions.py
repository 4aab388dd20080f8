"""A model's answers to every clip under every intervention, in Parquet. A run that was stopped continues.

One row is one clip under one intervention; `Answers` has them as arrays.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfvid.adapters.makes import classifier_of
from tfvid.core.errors import DataError, ModelError
from tfvid.core.stopping import stop_if_asked
from tfvid.experiments.audit import properties
from tfvid.experiments.audit.interventions import AS_IS, INTERVENTIONS
from tfvid.experiments.audit.scene import Scene, scene_of
from tfvid.experiments.clips import Clips, task
from tfvid.experiments.evaluation import in_memory
from tfvid.network.compiled import Compiled
from tfvid.results.row_store import VERSION, RowStore

NAME = "predictions"
SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("model", "id", "clip", "intervention")),
        *(pa.field(name, pa.int32()) for name in ("label", "predicted")),
        pa.field("true_score", pa.float32()),  # the probability of the label
        pa.field("probabilities", pa.list_(pa.float32())),
    ],
    metadata={VERSION: "1"},
)


def store(folder) -> RowStore:
    """Returns the store ``predictions.parquet`` in the folder of an audit."""
    return RowStore(folder, NAME, SCHEMA)


@dataclass(frozen=True)
class Answers:
    """The answers to N clips that have answers under all M interventions.

    Attributes:
      ids: the ids of the clips.
      labels: int `(N,)`, the true classes in the model's numbering.
      class_names: the K names of the model's classes.
      probabilities: float32 `(N, K)` by intervention.
    """

    ids: list[str]
    labels: np.ndarray
    class_names: tuple[str, ...]
    probabilities: dict[str, np.ndarray]

    def predicted(self, intervention: str = AS_IS) -> np.ndarray:
        """The classes with the highest probability, int `(N,)`."""
        return self.probabilities[intervention].argmax(axis=1)

    def right(self, intervention: str = AS_IS) -> np.ndarray:
        """1 where the answer is the label, else 0: float64 `(N,)`."""
        return (self.predicted(intervention) == self.labels).astype(np.float64)

    def true_score(self, intervention: str = AS_IS) -> np.ndarray:
        """The probability of the label, float32 `(N,)`."""
        return self.probabilities[intervention][np.arange(len(self.labels)), self.labels]

    @property
    def classes(self) -> list[int]:
        """The classes that have clips, in order."""
        return np.unique(self.labels).tolist()


class Backgrounds:
    """Still backgrounds of a few clips of each class, for `swap_background`.

    Args:
      clips: the clips to take them from. Clips that cannot be read are left out.
      seed: of the choice among them.
    """

    def __init__(self, clips: Clips, seed: int):
        self._seed = seed
        self._of: dict[int, list[np.ndarray]] = {}
        with task("backgrounds", clips) as (bar, log):
            for batch in clips.batches(log=log):
                for clip, boxes, label in zip(batch["clip"], batch["boxes"], batch["label"].tolist(), strict=True):
                    self._of.setdefault(label, []).append(scene_of(clip, boxes).background)
                bar.update(len(batch["label"]))

    def other_than(self, label: int, id: str) -> np.ndarray | None:
        """Returns a background of another class, float32 `(H, W, C)`; None if there is none.

        It depends on the seed and the clip's `id` only.
        """
        others = [one for other, of in sorted(self._of.items()) if other != label for one in of]
        return others[random_of(self._seed, id, "background").integers(len(others))] if others else None


def random_of(seed: int, id: str, purpose: str) -> np.random.Generator:
    """Returns a generator that depends on the seed, the clip and the purpose, not on the clip's place in a batch."""
    return np.random.default_rng([seed, zlib.crc32(id.encode()), zlib.crc32(purpose.encode())])


class Asker:
    """Asks a model about clips under interventions, and writes the answers.

    Args:
      clips: the labelled clips.
      interventions: names in `INTERVENTIONS`.
      backgrounds: of the data set.
      files: reads the properties of video files.
      folder: of the audit.
      seed: of the interventions that draw random numbers.
    """

    def __init__(
        self,
        clips: Clips,
        interventions: Sequence[str],
        backgrounds: Backgrounds,
        files: properties.Files,
        folder,
        seed: int,
    ):
        self.clips, self.interventions, self.backgrounds, self.files = clips, interventions, backgrounds, files
        self.seed, self.samples = seed, {sample.id: sample for sample in clips.samples}
        self.answers, self.properties = store(folder), properties.store(folder)
        self.classifier = classifier_of(clips.model.model, any_callable=True)
        self._compiled = Compiled(self.classifier.probabilities)

    def run(self) -> dict[str, str]:
        """Asks about the clips without answers. Returns the reason for each clip that cannot be read, by id."""
        done = complete(self.answers, self.interventions, self.clips.model.name)
        done &= set(self.properties.read(["id"])["id"].to_pylist())
        with task("interventions", self.clips, done) as (bar, log):
            for batch in self.clips.batches(done, log=log):
                batch = batch | {"id": [id.decode() for id in batch["id"].tolist()]}
                scenes = [
                    scene_of(clip, boxes, self.backgrounds.other_than(label, id))
                    for clip, boxes, label, id in zip(
                        batch["clip"], batch["boxes"], batch["label"].tolist(), batch["id"], strict=True
                    )
                ]
                samples = [self.samples[id] for id in batch["id"]]
                found = properties.of_batch(samples, batch["clip"], scenes, self.files)
                self.properties.append(properties.rows(self.clips.model.name, samples, batch["label"], found))
                self.answers.append(pa.Table.from_pylist(self._rows(batch, scenes), SCHEMA))
                bar.update(len(batch["id"]))
                stop_if_asked()
        self.answers.merge()
        self.properties.merge()
        return dict(log.reasons)

    def _rows(self, batch: dict, scenes: Sequence[Scene]) -> list[dict]:
        rows = []
        for name in self.interventions:
            changed = [
                INTERVENTIONS[name].change(clip, scene, random_of(self.seed, id, name))
                for clip, scene, id in zip(batch["clip"], scenes, batch["id"], strict=True)
            ]
            probabilities = self.probabilities(np.stack(changed).astype(np.float32), batch["id"], name)
            rows += [
                {
                    "model": self.clips.model.name,
                    "id": f"{name}\x1f{id}",  # the key of a row, see `RowStore`
                    "clip": id,
                    "intervention": name,
                    "label": int(label),
                    "predicted": int(row.argmax()),
                    "true_score": float(row[label]),
                    "probabilities": row,
                }
                for id, label, row in zip(batch["id"], batch["label"], probabilities, strict=True)
            ]
        return rows

    def probabilities(self, clips: np.ndarray, ids: Sequence[str], intervention: str) -> np.ndarray:
        """Returns the probabilities of all classes, float32 `(B, K)`.

        Raises:
          ModelError: the model returns NaN; the message names the clip.
        """
        frames = self.classifier.checked(clips)
        self.classifier.prepare(frames)
        found = in_memory(self._compiled, tf.convert_to_tensor(frames))
        wrong = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if wrong.size:
            raise ModelError(
                f"the model returns NaN or infinity for clip {ids[wrong[0]]} under {intervention!r}; look at its "
                "weights and at the range of the clips (input_range)"
            )
        return found


def complete(rows: RowStore, interventions: Sequence[str], model: str) -> set[str]:
    """Returns the ids of the clips with answers under all `interventions`."""
    table = rows.read(["model", "clip", "intervention"])
    of: dict[str, set[str]] = {name: set() for name in interventions}
    for row in table.to_pylist():
        if row["model"] == model and row["intervention"] in of:
            of[row["intervention"]].add(row["clip"])
    return set.intersection(*of.values()) if of else set()


def read(folder, model: str, interventions: Sequence[str], ids: Sequence[str], class_names: tuple[str, ...]) -> Answers:
    """Reads the answers of an audit.

    Args:
      folder: of the audit.
      model: name of the model.
      interventions: names in `INTERVENTIONS`.
      ids: of the clips, in order; those without all answers are left out.
      class_names: of the model.

    Raises:
      DataError: no clip has answers.
    """
    place = {
        (row["intervention"], row["clip"]): row for row in store(folder).read().to_pylist() if row["model"] == model
    }
    kept = [id for id in ids if all((name, id) in place for name in interventions)]
    if not kept:
        raise DataError(f"{folder}: none of the {len(ids)} clips could be read")
    return Answers(
        kept,
        np.array([place[AS_IS, id]["label"] for id in kept], np.int64),
        class_names,
        {name: np.array([place[name, id]["probabilities"] for id in kept], np.float32) for name in interventions},
    )
