"""The state of a run after each epoch, complete or not there at all.

One folder an epoch, ``checkpoints/epoch-0003/``, written under a temporary name and renamed when it is whole:

    model.keras    the weights, as a float32 model that `tfvid.load_model` reads
    card.json      the model's card
    training.npz   optimizer slots and the state of dropout's random generators
    state.json     finished epochs, the history of all metrics, and the clips that could not be read or are damaged

A run that is stopped within an epoch also writes ``checkpoints/within-0004/``, the same files of the state after some
batches of epoch 4, and ``metrics.npz``, the metrics of those batches. It is gone once the epoch is finished.

What else an exact resume needs is a pure function of these: data order of (seed, epoch), the learning rate of
the optimizer's step or of the history.
"""

import json
import os
import re
import shutil
from pathlib import Path

import keras
import numpy as np

from tfvid.core.errors import ModelError, TfvidError
from tfvid.core.files import remove_folder
from tfvid.models.card import ModelCard
from tfvid.models.loading import load_weights

History = list[dict[str, float]]  # one record of metrics an epoch


class Checkpoints:
    """Saves, finds and restores epochs under `folder`.

    Args:
      folder: ``runs/<name>/checkpoints``.
      model: the compiled model in training; its optimizer's variables are built.
      export: a float32 model of the same layers, the form in which weights are written.
      card: travels with each checkpoint.
      writes: False for one of several workers who share the folder, and leave the writing to their chief.

    Attributes:
      skipped: why clips could not be read, by id, of "train" and "validation"; saved and restored with the rest.
      damaged: what is wrong with the files of damaged clips, likewise.
      batches: after `restore`, how many batches of the epoch under way the state has seen; 0 between epochs.
      metrics: after `restore`, the values of the model's metric variables for those batches.
    """

    def __init__(self, folder: Path, model: keras.Model, export: keras.Model, card: ModelCard, *, writes: bool = True):
        self.folder, self.model, self.export, self.card = Path(folder), model, export, card
        self.writes = writes
        self.batches = 0
        self.metrics: list[np.ndarray] = []
        self.skipped: dict[str, dict[str, str]] = {"train": {}, "validation": {}}
        self.damaged: dict[str, dict[str, str]] = {"train": {}, "validation": {}}
        if not writes:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(".*"):  # of a run that was killed while it wrote or removed
            shutil.rmtree(leftover)

    def epochs(self) -> list[int]:
        """The epochs that are there, oldest first."""
        names = (re.fullmatch(r"epoch-(\d+)", path.name) for path in self.folder.glob("epoch-*"))
        return sorted(int(match[1]) for match in names if match)

    def path(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:04d}"

    def save(self, history: History) -> None:
        """Writes the state after epoch ``len(history)``, then drops all others but the best one.

        Raises:
          TfvidError: it could not be written (a full disk); the earlier checkpoints are as they were.
        """
        if not self.writes:
            return
        epoch = len(history)
        self._replace(self.path(epoch), epoch - 1, history)
        for old in set(self.epochs()) - {epoch, best_epoch(history)}:
            remove_folder(self.path(old))
        for path in self.folder.glob("within-*"):
            remove_folder(path)

    def save_within(self, history: History, batches: int) -> None:
        """Writes the state after so many batches of the epoch that follows `history`.

        Raises:
          TfvidError: see `save`.
        """
        if self.writes:
            self._replace(self.folder / f"within-{len(history) + 1:04d}", len(history), history, batches)

    def _replace(self, path: Path, kept_epoch: int, history: History, batches: int = 0):
        """Writes `path` under a temporary name and renames it."""
        temporary = path.with_name(f".{path.name}")
        try:
            temporary.mkdir()
            self._write(temporary, history, batches)
            if path.exists():  # of the same epoch, stopped before
                remove_folder(path)
            os.replace(temporary, path)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            kept = f"epoch {kept_epoch} is kept, start again to go on from there" if kept_epoch else "nothing was kept"
            raise TfvidError(f"{path}: cannot write the checkpoint ({error}); {kept}") from error

    def restore(self) -> History:
        """Puts the model back to the newest checkpoint and returns the history; an empty one if there is none.

        Raises:
          ModelError: the checkpoint is damaged or was made by another model.
        """
        newest = max(self.epochs(), default=0)
        path, within = self.path(newest), self.folder / f"within-{newest + 1:04d}"
        if within.exists():
            path = within
        elif not newest:
            return []
        load_weights(self.model, path)
        state = path / "training.npz"
        try:
            saved = json.loads((path / "state.json").read_text(encoding="utf-8"))
            history, batches = saved["history"], int(saved.get("batches", 0))
            skipped, damaged = saved.get("skipped", {}), saved.get("damaged", {})
            values = _arrays(state)
            metrics = _arrays(path / "metrics.npz") if batches else []
        except Exception as error:  # json, zipfile and NumPy each raise their own on a damaged file.
            raise ModelError(
                f"{path}: damaged checkpoint ({error}); remove the folder to go on from an older one"
            ) from error
        variables = self._training_variables()
        if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
            raise ModelError(f"{state}: the optimizer's variables have other shapes than this run's")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        for log, known in ((self.skipped, skipped), (self.damaged, damaged)):
            for part, reasons in known.items():
                log[part].update(reasons)
        self.batches, self.metrics = batches, metrics
        return history

    def load_epoch(self, epoch: int) -> keras.Model:
        """The float32 model with the weights of `epoch`."""
        load_weights(self.export, self.path(epoch))
        return self.export

    def _write(self, folder: Path, history: History, batches: int) -> None:
        self.export.set_weights(self.model.get_weights())
        self.export.save(folder / "model.keras")
        (folder / "card.json").write_text(self.card.to_json(), encoding="utf-8")
        np.savez(folder / "training.npz", *[variable.numpy() for variable in self._training_variables()])
        if batches:
            np.savez(folder / "metrics.npz", *[variable.numpy() for variable in self.model.metrics_variables])
        state = {
            "epoch": len(history),
            "batches": batches,
            "history": history,
            "skipped": {part: dict(log) for part, log in self.skipped.items()},
            "damaged": {part: dict(log) for part, log in self.damaged.items()},
        }
        (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")

    def _training_variables(self) -> list:
        """What training changes beside the weights: random generators' states, and the optimizer's variables."""
        weights = {id(weight) for weight in self.model.weights}
        generators = [variable for variable in self.model.variables if id(variable) not in weights]
        return [*generators, *self.model.optimizer.variables]


def _arrays(path: Path) -> list[np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[name] for name in arrays.files]


def best_epoch(history: History) -> int:
    """The epoch (1 is the first) with the best validation accuracy; the earliest of equals."""
    accuracies = [record["val_accuracy"] for record in history]
    return accuracies.index(max(accuracies)) + 1
