"""Halve the learning rate when validation accuracy stops rising, as the paper's published TensorFlow code does.

The rate is a pure function of the accuracies so far, so a resumed run has nothing to restore.
"""

import math
from collections.abc import Iterable

FACTOR = 0.5


def plateau_rate(initial: float, accuracies: Iterable[float], patience: int, minimum: float) -> float:
    """The learning rate after epochs with these validation accuracies.

    Args:
      initial: the rate of the first epoch.
      accuracies: validation accuracy of each finished epoch, in order.
      patience: epochs in a row without a new best accuracy (equal is not better) that halve the rate.
      minimum: the rate does not go below it.
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
