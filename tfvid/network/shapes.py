"""The shapes of tensors, for messages."""

import tensorflow as tf


def shapes(tensors) -> str:
    """Returns the shapes of a tensor, or of a nested structure of tensors, for a message."""
    return str(tf.nest.map_structure(lambda tensor: tuple(getattr(tensor, "shape", ())), tensors))
