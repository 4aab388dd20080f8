"""The optimizer of a run, its learning rate schedule, and weight decay."""

from collections.abc import Callable
from functools import partial

import keras
import tensorflow as tf

from tfvid.config import TrainConfig
from tfvid.training.plateau import plateau_rate


def make_optimizer(train: TrainConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Builds the optimizer of `train`.

    Args:
      steps_per_epoch: the number of batches of an epoch; the cosine schedule needs it.
    """
    rate = cosine(train, steps_per_epoch) if train.schedule == "cosine" else train.learning_rate
    if train.optimizer == "adam":
        return keras.optimizers.Adam(rate)
    return keras.optimizers.SGD(rate, momentum=train.momentum)


def epoch_rate(train: TrainConfig) -> Callable[[list[float]], float] | None:
    """Returns the learning rate as a function of the validation accuracies so far; None for a rate by step.

    Args:
      train: the schedule; only "plateau" depends on accuracies.
    """
    if train.schedule != "plateau":
        return None
    return partial(
        plateau_rate, initial=train.learning_rate, patience=train.plateau_patience, minimum=train.min_learning_rate
    )


def rate_of(optimizer: keras.optimizers.Optimizer) -> float:
    """Returns the learning rate of the next step, also for an optimizer under a strategy."""
    return float(tf.convert_to_tensor(optimizer.learning_rate))


def cosine(train: TrainConfig, steps_per_epoch: int) -> keras.optimizers.schedules.CosineDecay:
    """Returns a schedule: linear from 0 in the warm-up, then a half cosine to `min_learning_rate` at the last step."""
    warmup = round(train.warmup_epochs * steps_per_epoch)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else train.learning_rate,
        decay_steps=max(1, train.epochs * steps_per_epoch - warmup),
        alpha=train.min_learning_rate / train.learning_rate,
        warmup_target=train.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def add_weight_decay(model: keras.Model, decay: float) -> None:
    """Adds ``decay / 2 * |w|^2`` to the loss for every kernel w of `model`; this adds ``decay * w`` to its gradient.

    This is the coupled weight decay of PyTorch's ``weight_decay``, which the paper's code uses, not the decoupled one
    of AdamW. Kernels are weights with two or more axes. Biases and batch norm have no decay.
    """
    for variable in model.trainable_variables:
        if decay and len(variable.shape) > 1:
            variable.regularizer = keras.regularizers.L2(decay / 2)
