"""Checkpoints: the state of a run after each epoch. A checkpoint is complete, or it does not exist.

Each epoch has a folder, ``checkpoints/epoch-0003/``. It is written under a temporary name and renamed when it is
complete:

    model.keras    the weights, as a float32 model that `tfvid.load_model` reads
    card.json      the model's card
    training.npz   the optimizer's variables and the state of dropout's random generators
    state.json     the number of finished epochs, the history of all metrics, and the unreadable and damaged clips

A run that is stopped within epoch 4 also writes ``checkpoints/within-0004/``: the same files for the state after some
batches of the epoch, and ``metrics.npz``, the metrics of these batches. It is removed when the epoch is finished.

An exact resume needs no further state: the order of the data is a function of (seed, epoch), and the learning rate is a
function of the optimizer's step or of the history.

Why not `keras.callbacks.ModelCheckpoint` or `BackupAndRestore`: docs/architecture.md#libraries.
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

History = list[dict[str, float]]  # a record of metrics for each epoch


class Checkpoints:
    """Saves, finds and restores epochs under `folder`.

    Args:
      folder: ``runs/<name>/checkpoints``.
      model: the compiled model in training, with the variables of its optimizer built.
      export: a float32 model with the same layers; weights are written in its form.
      card: the model's card, written into each checkpoint.
      writes: whether this process writes checkpoints. Of several workers that share the folder, only the chief does.

    Attributes:
      skipped: for "train" and "validation", the reason for each unreadable clip, by id; part of the saved state.
      damaged: for "train" and "validation", the damage of each damaged clip, by id; part of the saved state.
      batches: after `restore`, the number of batches of the current epoch that the model was trained on; 0 between
        epochs.
      metrics: after `restore`, the values of the model's metric variables for these batches.
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
        for leftover in self.folder.glob(".*"):  # from a run that was killed while it wrote or removed a checkpoint
            shutil.rmtree(leftover)

    def epochs(self) -> list[int]:
        """Returns the epochs that have a checkpoint, in ascending order."""
        names = (re.fullmatch(r"epoch-(\d+)", path.name) for path in self.folder.glob("epoch-*"))
        return sorted(int(match[1]) for match in names if match)

    def path(self, epoch: int) -> Path:
        """Returns the folder of an epoch's checkpoint, which need not exist."""
        return self.folder / f"epoch-{epoch:04d}"

    def save(self, history: History) -> None:
        """Writes the state after epoch ``len(history)``; removes all other checkpoints except that of the best epoch.

        Raises:
          TfvidError: the checkpoint cannot be written, e.g. because the disk is full. Earlier ones are unchanged.
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
        """Writes the state after `batches` batches of the epoch that follows `history`.

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
            if path.exists():  # the same epoch was stopped before
                remove_folder(path)
            os.replace(temporary, path)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            kept = "there is no earlier checkpoint"
            if kept_epoch:
                kept = f"the checkpoint of epoch {kept_epoch} is kept; start the run again to continue from it"
            raise TfvidError(f"{path}: cannot write the checkpoint ({error}); {kept}") from error

    def restore(self) -> History:
        """Restores the newest checkpoint into the model and returns the history; an empty one without a checkpoint.

        Raises:
          ModelError: the checkpoint is damaged or belongs to another model.
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
        except Exception as error:  # json, zipfile and NumPy raise errors of their own for a damaged file
            raise ModelError(
                f"{path}: damaged checkpoint ({error}); remove the folder to continue from an older one"
            ) from error
        variables = self._training_variables()
        if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
            raise ModelError(f"{state}: the optimizer's variables differ in shape from those of this run")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        for log, known in ((self.skipped, skipped), (self.damaged, damaged)):
            for part, reasons in known.items():
                log[part].update(reasons)
        self.batches, self.metrics = batches, metrics
        return history

    def load_epoch(self, epoch: int) -> keras.Model:
        """Returns the float32 model with the weights of `epoch`."""
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
        """Returns the variables that training changes, without weights: generator states and optimizer variables."""
        weights = {id(weight) for weight in self.model.weights}
        generators = [variable for variable in self.model.variables if id(variable) not in weights]
        return [*generators, *self.model.optimizer.variables]


def _arrays(path: Path) -> list[np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[name] for name in arrays.files]


def best_epoch(history: History) -> int:
    """Returns the epoch, from 1, with the best validation accuracy; the first one of equals."""
    accuracies = [record["val_accuracy"] for record in history]
    return accuracies.index(max(accuracies)) + 1
