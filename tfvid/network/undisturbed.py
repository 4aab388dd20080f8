"""Runs code beside a training without changing the training.

An explainer of a user's own may draw random numbers or run the model in training mode. Both change state that the
training uses next: seeds, batch norm statistics. `undisturbed` restores that state.
"""

import random
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from tfvid.network.private_api import (
    keras_generator,
    operation_seeds,
    set_keras_generator,
    set_operation_seeds,
    tensorflow_generator,
)


@contextmanager
def undisturbed(model: keras.Model):
    """Restores the state of a training of `model` at the end, also after an error.

    The state is: the variables of the model (weights, batch norm statistics, seeds of dropout layers), of its
    optimizer and of its metrics; the random state of Python, NumPy, TensorFlow (global generator and operation seeds)
    and Keras.

    It costs one copy of these variables. Variables that are created inside stay: a model may be built there.

    Args:
      model: a Keras model, compiled or not.
    """
    variables = _variables(model)
    values = [variable.numpy() for variable in variables]
    python, numpy = random.getstate(), np.random.get_state()
    generators = tensorflow_generator(), keras_generator()
    try:
        with _other_operation_seeds():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        tf.random.set_global_generator(generators[0])
        set_keras_generator(generators[1])
        for variable, value in zip(variables, values, strict=True):
            if variable.numpy().tobytes() != value.tobytes():
                variable.assign(value)


def _variables(model: keras.Model) -> list:
    """The TensorFlow variables of the training, one for each device, and the states of the global generators."""
    variables = [*model.variables, *model.metrics_variables, *getattr(model.optimizer, "variables", ())]
    # Under a distribution strategy each device has a copy of a variable; copies of batch norm statistics may differ.
    strategy = model.distribute_strategy
    copies = [copy for variable in variables for copy in strategy.experimental_local_results(variable.value)]
    generators = [generator for generator in (tensorflow_generator(), keras_generator()) if generator is not None]
    return copies + [generator.state for generator in generators]


@contextmanager
def _other_operation_seeds():
    """Inside, operations without a seed, like ``tf.random.normal((2,))``, draw their seeds from another source.

    Restoring the state of the same source is not enough: TensorFlow caches a random operation by its seed, and the
    second operation with that seed continues the numbers of the first one.
    """
    seed, source = operation_seeds()
    if source is not None:
        set_operation_seeds(seed, random.Random(f"undisturbed {seed}"))
    try:
        yield
    finally:
        set_operation_seeds(seed, source)
