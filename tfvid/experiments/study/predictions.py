"""The predictions of each model for each clip of the split, played forwards and backwards; saved in Parquet."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tfvid.core.errors import DataError, ModelError
from tfvid.metrics.classification import confusion, f1, in_top_k, macro_f1
from tfvid.results.row_store import VERSION, RowStore

NAME = "predictions"
PLAYBACKS = ("forward", "reversed")
COLUMNS = {"label": pa.int32()} | {
    f"{playback}_{what}": kind
    for playback in PLAYBACKS
    for what, kind in (("predicted", pa.int32()), ("in_top_5", pa.bool_()))
}
SCHEMA = pa.schema({"id": pa.string(), "model": pa.string()} | COLUMNS, metadata={VERSION: "1"})


def store(folder) -> RowStore:
    """Returns the store ``predictions.parquet`` in a study's folder."""
    return RowStore(folder, NAME, SCHEMA)


def done(rows: RowStore, model: str) -> set[str]:
    """Returns the ids of the clips with predictions of `model`."""
    table = rows.read(["id", "model"])
    return {id for id, name in zip(table["id"].to_pylist(), table["model"].to_pylist(), strict=True) if name == model}


def rows(model: str, answers) -> pa.Table:
    """Converts predictions to one row per clip.

    Args:
      model: name of the model.
      answers: a `tfvid.experiments.evaluation.Predictions` of both `PLAYBACKS`.

    Raises:
      ModelError: a score is NaN or infinite.
    """
    columns = {"id": answers.ids, "model": [model] * len(answers.ids), "label": answers.labels}
    for playback in PLAYBACKS:
        logits = answers.logits[playback]
        wrong = np.flatnonzero(~np.isfinite(logits).all(axis=1))
        if wrong.size:
            raise ModelError(f"model {model!r}: NaN or infinite scores for clip {answers.ids[wrong[0]]}")
        columns[f"{playback}_predicted"] = logits.argmax(axis=1)
        columns[f"{playback}_in_top_5"] = in_top_k(logits, answers.labels, 5)
    return pa.table(columns).cast(SCHEMA)


@dataclass(frozen=True)
class Answers:
    """The predictions of all models of a study, for the N clips for which all models have predictions.

    Attributes:
      groups: names of the models by group.
      class_names: of the models.
      columns: by model, then by name in `COLUMNS`: `(N,)`.
    """

    groups: dict[str, list[str]]
    class_names: tuple[str, ...]
    columns: dict[str, dict[str, np.ndarray]]

    @property
    def labels(self) -> np.ndarray:
        """The true classes, `(N,)`, equal for all models."""
        return next(iter(self.columns.values()))["label"]

    def scores(self, model: str, reverse_labels: dict[int, int] | None = None) -> dict[str, float | None]:
        """Computes the scores of the paper's table 1 for one model, all in [0, 1].

        Args:
          model: name of the model.
          reverse_labels: for each label, the label of the clip played backwards; None if unknown.

        Returns:
          ``top_1`` (the accuracy), ``f1`` and ``f1_top_5`` as in `tfvid.metrics.classification.scores`; ``reversed_f1``
          and ``reversed_f1_top_5``, the same for reversed clips; and ``opposite``: of the clips whose reverse has
          another label, the share that is classified as this label when reversed. None if there are no such clips.
        """
        own, labels = self.columns[model], self.labels
        scores: dict[str, float | None] = {"top_1": float(np.mean(own["forward_predicted"] == labels))}
        for playback, prefix in zip(PLAYBACKS, ("", "reversed_"), strict=True):
            predicted, hit = own[f"{playback}_predicted"], own[f"{playback}_in_top_5"]
            for name, taken in (("f1", predicted), ("f1_top_5", np.where(hit, labels, predicted))):
                scores[prefix + name] = macro_f1(confusion(labels, taken, len(self.class_names)))
        opposite = np.array([(reverse_labels or {}).get(label, label) for label in labels.tolist()])
        paired = opposite != labels
        right = (own["reversed_predicted"] == opposite)[paired]
        return scores | {"opposite": float(right.mean()) if len(right) else None}

    def class_f1(self) -> dict[str, list[float]]:
        """Returns the F1 of each class, as the mean over the models of each group, by group."""
        return {
            group: np.mean(
                [
                    f1(confusion(self.labels, self.columns[name]["forward_predicted"], len(self.class_names)))
                    for name in names
                ],
                axis=0,
            ).tolist()
            for group, names in self.groups.items()
        }


def read(folder, groups: dict[str, list[str]], class_names: tuple[str, ...]) -> Answers:
    """Reads the predictions in `folder`.

    Args:
      folder: of a study.
      groups: names of the models by group.
      class_names: of the models.

    Raises:
      DataError: no clip has predictions of all models, or a file cannot be read.
    """
    found: dict[str, dict[str, dict]] = {name: {} for names in groups.values() for name in names}
    for table in store(folder).batches():
        for row in table.to_pylist():
            if row["model"] in found:
                found[row["model"]][row["id"]] = row
    first, *others = found.values()
    ids = [id for id in first if all(id in other for other in others)]
    if not ids:
        raise DataError(f"{folder}: no clip of this split could be read")
    return Answers(
        groups,
        tuple(class_names),
        {model: {name: np.array([rows[id][name] for id in ids]) for name in COLUMNS} for model, rows in found.items()},
    )
