"""Trains several replicas of a model at once. The result equals that of one model on the whole batch.

Keras' ``fit`` supports this on the devices of one machine, but not on several machines (Keras issue 20585). This module
does both with `tf.distribute`: each replica gets its part of a batch, the gradients of

    loss = sum over all clips of the batch of  cross-entropy / batch size   +   weight decay

are summed over the replicas, and each replica makes the same step.
"""

import keras
import numpy as np
import tensorflow as tf

from tfvid.training.distribution import Distribution


def fit(
    model: keras.Model,
    distribution: Distribution,
    training: tf.data.Dataset,
    validation: tf.data.Dataset,
    *,
    batch_size: int,
    steps: int,
    validation_steps: int,
    first_epoch: int,
    epochs: int,
    callbacks: list[keras.callbacks.Callback],
):
    """Trains `model`, as Keras' ``fit`` does.

    Args:
      model: the model. It and its optimizer are built under the distribution's scope.
      distribution: a distribution with a strategy.
      training: this worker's share, batches of dicts with ``clip`` and ``label``; the same number on each worker.
      validation: this worker's share; it may contain fewer clips than those of other workers.
      batch_size: the number of clips of a batch, over all replicas.
      steps: the number of training batches of an epoch; all are full.
      validation_steps: the number of batches of the validation clips of all workers.
      first_epoch: the first epoch to train, from 0.
      epochs: the epoch to stop before.
      callbacks: Keras callbacks. The logs of an epoch are ``loss``, ``accuracy``, ``top_5``, and the same with
        ``val_``.
    """
    strategy = distribution.strategy
    assert strategy is not None  # this module runs with several replicas
    each = batch_size // distribution.replicas
    local = batch_size // distribution.share.count
    columns = (lambda batch: (batch["clip"], batch["label"]), tf.data.AUTOTUNE)
    parts = {
        "train": training.map(*columns).rebatch(each),
        "validation": _filled_up(validation.map(*columns), validation_steps * local).batch(each),
    }
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    parts = {
        name: strategy.distribute_datasets_from_function(lambda _, part=part: part.with_options(options))
        for name, part in parts.items()
    }
    step = _Steps(model, distribution, batch_size)
    callbacks = keras.callbacks.CallbackList(callbacks, model=model, epochs=epochs, steps=steps)
    callbacks.on_train_begin()
    for epoch in range(first_epoch, epochs):
        callbacks.on_epoch_begin(epoch)
        sums = _Sums()
        for number, batch in enumerate(parts["train"]):
            callbacks.on_train_batch_begin(number)
            sums.add(step.train(*batch))
            callbacks.on_train_batch_end(number, sums.means())
        logs = sums.means()
        sums = _Sums()
        for batch in parts["validation"]:
            sums.add(step.validate(*batch))
        callbacks.on_epoch_end(epoch, logs | {f"val_{name}": value for name, value in sums.means().items()})
    callbacks.on_train_end()


class _Steps:
    """One training or validation step on all replicas. Both return sums over all clips, see `_Sums`."""

    def __init__(self, model, distribution: Distribution, batch_size: int):
        self.model, self.strategy, self.batch_size = model, distribution.strategy, batch_size

    @tf.function
    def train(self, clips, labels):
        return self._reduced(self._train, clips, labels)

    @tf.function
    def validate(self, clips, labels):
        return self._reduced(self._validate, clips, labels)

    def _reduced(self, step, clips, labels):
        return self.strategy.reduce("SUM", self.strategy.run(step, (clips, labels)), axis=None)

    def _train(self, clips, labels):
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.model(clips, training=True)
            losses = _cross_entropy(labels, logits)
            decay = self._decay()
            loss = tf.reduce_sum(losses) / self.batch_size + decay
        # `apply_gradients` sums the gradients of the replicas.
        self.model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return _sums(losses, logits, labels, decay)

    def _validate(self, clips, labels):
        logits = self.model(clips, training=False)
        return _sums(_cross_entropy(labels, logits), logits, labels, self._decay())

    def _decay(self):
        return tf.add_n(self.model.losses or [tf.constant(0.0)]) / self.strategy.num_replicas_in_sync


class _Sums:
    """The means over the clips of an epoch so far."""

    def __init__(self):
        self.total = np.zeros(4)

    def add(self, sums: tf.Tensor):
        """Adds a step's ``(cross-entropy, right, right among five, clips, weight decay)``."""
        loss, *counts, clips, decay = sums.numpy().astype(float)
        self.total += [loss + decay * clips, *counts, clips]

    def means(self) -> dict[str, float]:
        loss, accuracy, top_5 = (self.total[:3] / self.total[3]).tolist()
        return {"loss": loss, "accuracy": accuracy, "top_5": top_5}


def _cross_entropy(labels, logits):
    """Returns the cross-entropy of each clip, `(B,)`; 0 for the label -1, which stands for no clip."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
    return tf.where(labels < 0, 0.0, losses)


def _sums(losses, logits, labels, decay):
    right, among_five = (tf.math.in_top_k(tf.maximum(labels, 0), logits, k) & (labels >= 0) for k in (1, 5))
    counts = [tf.reduce_sum(tf.cast(flags, tf.float32)) for flags in (right, among_five, labels >= 0)]
    return tf.stack([tf.reduce_sum(losses), *counts, decay])


def _filled_up(batches: tf.data.Dataset, count: int) -> tf.data.Dataset:
    """Returns `count` single clips: all clips, then black clips with label -1. So all workers make the same steps."""
    clips = batches.unbatch()
    shape = clips.element_spec[0].shape
    blank = tf.data.Dataset.from_tensors((tf.zeros(shape), -1)).repeat()
    return clips.concatenate(blank).take(count)
