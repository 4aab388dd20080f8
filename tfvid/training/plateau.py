"""Halves the learning rate when the validation accuracy stops rising, as the paper's published TensorFlow code does.

The rate is a pure function of the accuracies so far, so a resumed run restores no further state. (Keras'
`ReduceLROnPlateau` keeps its best value and its waiting time in the callback, and a resumed run loses them.)
"""

import math
from collections.abc import Iterable

FACTOR = 0.5


def plateau_rate(accuracies: Iterable[float], *, initial: float, patience: int, minimum: float) -> float:
    """Returns the learning rate after epochs with these validation accuracies.

    Args:
      accuracies: the validation accuracy of each finished epoch, in order.
      initial: the rate of the first epoch.
      patience: the rate is halved after this many consecutive epochs without a new best accuracy. An equal accuracy is
        not a new best one.
      minimum: the lowest rate.
    """
    rate, best, waited = initial, -math.inf, 0
    for accuracy in accuracies:
        if accuracy > best:
            best, waited = accuracy, 0
            continue
        waited += 1
        if waited == patience:
            rate, waited = max(rate * FACTOR, minimum), 0
    return rate
