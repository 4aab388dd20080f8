"""Errors of Python functions that run inside a graph, raised as one line.

TensorFlow reports such an error as an `UnknownError` with the traceback of the function, often 40 lines. Here the error
itself is kept when it is raised, and becomes a `ModelError` where the graph is called.
"""

from contextlib import contextmanager

import tensorflow as tf

from tfvid.core.errors import ModelError, TfvidError, error_line

_raised: list[Exception] = []  # in the threads of TensorFlow, by the functions of `noting`, since the last graph began


def noting(function):
    """Returns `function`, whose errors `plainly_raised` knows."""

    def noted(*arrays):
        try:
            return function(*arrays)
        except Exception as error:  # a model of the user's may raise anything
            _raised.append(error)
            raise

    return noted


@contextmanager
def plainly_raised():
    """Inside, an error of a function of `noting` in a graph is raised as a `ModelError` of one line.

    An error of tfvid's own, or of memory, is raised as it is.
    """
    _raised.clear()
    try:
        yield
    except tf.errors.OpError:
        if not _raised:
            raise
        first = _raised[0]
        if isinstance(first, TfvidError | MemoryError):
            raise first from None
        raise ModelError(f"the model fails: {error_line(first)}") from first
