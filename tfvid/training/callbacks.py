"""The callbacks of a training run: data epoch and learning rate, checkpoints, logs, and the check for NaN."""

import math
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

from tfvid.core.errors import TfvidError, message_line
from tfvid.core.stopping import is_asked, stop_if_asked
from tfvid.data.skipped import SkipLog, damage_line
from tfvid.training.checkpoints import Checkpoints, History
from tfvid.training.optimizer import rate_of


class Epochs(keras.callbacks.Callback):
    """Sets the data's epoch and the learning rate before each epoch; records and saves the state after it.

    Put it last in the list of callbacks. When the state is saved, the epoch is complete and is not repeated.

    Args:
      rate: the learning rate of an epoch, a function of the validation accuracies of the epochs before; None if the
        optimizer has its own schedule.
      data_epoch: an int64 variable. The order and the augmentation of the training data depend on it.
      checkpoints: save the state.
      history: a record for each finished epoch; each epoch appends its own.
      stops_within: whether a run that receives a signal stops after the current batch; otherwise after the epoch.
    """

    def __init__(
        self,
        rate: Callable[[list[float]], float] | None,
        data_epoch: tf.Variable,
        checkpoints: Checkpoints,
        history: History,
        *,
        stops_within: bool,
    ):
        super().__init__()
        self.rate, self.data_epoch, self.checkpoints, self.history = rate, data_epoch, checkpoints, history
        self.stops_within = stops_within
        self._so_far: dict = {}

    def on_epoch_begin(self, epoch, logs=None):
        self.data_epoch.assign(epoch)
        if self.checkpoints.batches:
            for variable, value in zip(self.model.metrics_variables, self.checkpoints.metrics, strict=True):
                variable.assign(value)
            self._so_far = self.model.get_metrics_result()  # of the whole epoch if no batch is left
        if self.rate is not None:
            self.model.optimizer.learning_rate = self.rate([record["val_accuracy"] for record in self.history])

    def on_train_batch_end(self, batch, logs=None):
        if self.stops_within and is_asked():
            self.checkpoints.save_within(self.history, self.checkpoints.batches + batch + 1)
            stop_if_asked()

    def on_epoch_end(self, epoch, logs=None):
        record = {name: float(value) for name, value in (self._so_far | logs).items()}
        self.checkpoints.batches, self._so_far = 0, {}
        self.history.append(record | {"learning_rate": rate_of(self.model.optimizer)})
        self.checkpoints.save(self.history)
        stop_if_asked()


class DamagedClips(keras.callbacks.Callback):
    """Prints the number of clips from damaged files, and the first of them, after each epoch that finds new ones.

    Args:
      logs: the logs of the clips that are read, for "train" and "validation".
    """

    def __init__(self, logs: Mapping[str, SkipLog]):
        super().__init__()
        self.logs, self._printed = logs, dict.fromkeys(logs, 0)

    def on_epoch_end(self, epoch, logs=None):
        for part, log in self.logs.items():
            if len(log.damaged) > self._printed[part]:
                self._printed[part] = len(log.damaged)
                print(f"{part}: {damage_line(log.damaged)}", flush=True)


class StopOnNaN(keras.callbacks.Callback):
    """Ends a run with an error if its loss is NaN or infinite, before the state is saved.

    Unlike `keras.callbacks.TerminateOnNaN`, it also checks the validation loss, and its error names the epoch, the
    learning rate and what to change.
    """

    def on_train_batch_end(self, batch, logs=None):
        self._check(logs["loss"], f"step {batch + 1}")

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_epoch_end(self, epoch, logs=None):
        self._check(logs["val_loss"], "validation")

    def _check(self, loss, where):
        if not math.isfinite(loss):
            rate = rate_of(self.model.optimizer)
            raise TfvidError(
                f"the loss became {loss} in epoch {self.epoch}, {where}, at learning rate {rate:.3g}; earlier "
                "checkpoints are kept; try a lower train.learning_rate or train.mixed_precision=false"
            )


class Logs(keras.callbacks.Callback):
    """Writes each epoch's metrics for TensorBoard, with the tags and folders of `keras.callbacks.TensorBoard`.

    Keras' callback flushes every two minutes, and a killed run loses what is not flushed. This one flushes after each
    epoch.

    Args:
      folder: the metrics go to its subfolders ``train`` and ``validation``.

    Raises:
      TfvidError: at once or after an epoch: the logs cannot be written, e.g. because the disk is full.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder
        self._open()

    def on_train_begin(self, logs=None):
        if not self.writers:  # the second call of `fit`
            self._open()

    def on_epoch_end(self, epoch, logs=None):
        values = logs | {"learning_rate": rate_of(self.model.optimizer)}
        with self._writing():
            for name, value in values.items():
                writer = self.writers["validation" if name.startswith("val_") else "train"]
                with writer.as_default(step=epoch):
                    tf.summary.scalar(f"epoch_{name.removeprefix('val_')}", value)
            for writer in self.writers.values():
                writer.flush()

    def on_train_end(self, logs=None):
        with self._writing():
            for writer in self.writers.values():
                writer.close()
        self.writers = {}

    def _open(self):
        with self._writing():
            self.writers = {
                name: tf.summary.create_file_writer(str(self.folder / name)) for name in ("train", "validation")
            }

    @contextmanager
    def _writing(self):
        try:
            yield
        except tf.errors.OpError as error:
            raise TfvidError(
                f"{self.folder}: cannot write the logs ({message_line(error.message)}); start the run again to continue"
            ) from error
