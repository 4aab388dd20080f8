"""What happens around each epoch of Keras' ``fit``."""

import math

import keras
import tensorflow as tf

from tfvid.config import TrainConfig
from tfvid.errors import TfvidError
from tfvid.training.checkpoints import Checkpoints, History
from tfvid.training.plateau import plateau_rate


class Epochs(keras.callbacks.Callback):
    """Sets the data's epoch and the learning rate before each epoch; records and saves the state after it.

    Put it before callbacks that write logs: it adds the learning rate to them.

    Args:
      data_epoch: the int64 variable that the training data's order and augmentation follow.
      history: records of the epochs finished before; each epoch appends its own.
    """

    def __init__(self, train: TrainConfig, data_epoch: tf.Variable, checkpoints: Checkpoints, history: History):
        super().__init__()
        self.train, self.data_epoch, self.checkpoints, self.history = train, data_epoch, checkpoints, history

    def on_epoch_begin(self, epoch, logs=None):
        self.data_epoch.assign(epoch)
        if self.train.schedule == "plateau":
            self.model.optimizer.learning_rate = plateau_rate(
                self.train.learning_rate,
                [record["val_accuracy"] for record in self.history],
                self.train.plateau_patience,
                self.train.min_learning_rate,
            )

    def on_epoch_end(self, epoch, logs=None):
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        self.history.append({name: float(value) for name, value in logs.items()})
        self.checkpoints.save(self.history)


class StopOnNaN(keras.callbacks.Callback):
    """Stops a run whose loss is no longer a number, before anything of it is saved."""

    def on_train_batch_end(self, batch, logs=None):
        self._check(logs["loss"], f"step {batch + 1}")

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_epoch_end(self, epoch, logs=None):
        self._check(logs["val_loss"], "validation")

    def _check(self, loss, where):
        if not math.isfinite(loss):
            rate = float(self.model.optimizer.learning_rate)
            raise TfvidError(
                f"the loss became {loss} in epoch {self.epoch}, {where}, at learning rate {rate:.3g}; earlier "
                "checkpoints are kept; try a lower train.learning_rate or train.mixed_precision=false"
            )
