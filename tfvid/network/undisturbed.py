"""Running something beside a training without leaving a trace in it.

Whatever draws random numbers or runs the model in training mode (an explainer of a user's own may do both) moves
state on that the training would have used: seeds, batch norm statistics. Here all of it is put back.
"""

import random
from contextlib import contextmanager

import keras
import numpy as np

# Neither TensorFlow nor Keras has a public way to ask for their global generators without making them.
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from tensorflow.python.eager import context
from tensorflow.python.ops import stateful_random_ops


@contextmanager
def undisturbed(model: keras.Model):
    """Puts back, at the end and whatever happens inside, what a training of `model` rests on.

    That is: the model's variables (weights, batch norm statistics, dropout's seeds), those of its optimizer and its
    metrics; the random state of Python, NumPy, TensorFlow (global generator and operation seeds) and Keras.

    It costs a copy of these variables. Variables made inside stay as they are: a model may be built there.
    """
    variables = [*model.variables, *model.metrics_variables, *getattr(model.optimizer, "variables", ())]
    # Under a distribution strategy every device has a copy, and some copies are not alike (batch norm's).
    strategy = model.distribute_strategy
    variables = [copy for variable in variables for copy in strategy.experimental_local_results(variable.value)]
    variables += _generator_states()
    values = [variable.numpy() for variable in variables]
    python, numpy, tensorflow = random.getstate(), np.random.get_state(), stateful_random_ops.global_generator
    keras_generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    try:
        with _other_operation_seeds():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        stateful_random_ops.set_global_generator(tensorflow)
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, keras_generator)
        for variable, value in zip(variables, values, strict=True):
            if variable.numpy().tobytes() != value.tobytes():
                variable.assign(value)


def _generator_states() -> list:
    """The states of the global generators of TensorFlow and Keras, where there are any yet."""
    tensorflow = stateful_random_ops.global_generator
    keras_generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    states = [] if tensorflow is None else [tensorflow.state]
    return states if keras_generator is None else [*states, keras_generator.state]


@contextmanager
def _other_operation_seeds():
    """Lets operations without a seed, like ``tf.random.normal((2,))``, draw theirs elsewhere for a while.

    To put the old source back in its old state would not do: TensorFlow keeps a random operation by its seed, and
    the second use of a seed goes on where the first one stopped.
    """
    eager = context.context()
    seed, source = eager._seed, getattr(eager, "_rng", None)  # there is a source once a seed was set
    if source is not None:
        eager._rng = random.Random(f"undisturbed {seed}")
    try:
        yield
    finally:
        eager._seed = seed
        if source is not None:
            eager._rng = source
