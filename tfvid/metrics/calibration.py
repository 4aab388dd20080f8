"""Calibration: whether a model is right as often as it is confident."""

import numpy as np

from tfvid.core.errors import DataError

BINS = 15


def expected_calibration_error(probabilities, labels, bins: int = BINS) -> float:
    """Returns the mean difference of confidence and accuracy, over bins of confidence; smaller is better.

        ECE = sum over bins b of  n_b / N * | accuracy(b) - confidence(b) |

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, Eq. 5, with bins of equal width. The confidence
    is the highest probability. The value of few clips is too high, since a bin of one clip is either right or wrong.

    Args:
      probabilities: float `(N, K)` in [0, 1].
      labels: int `(N,)` in [0, K).
      bins: the number of bins of (0, 1].

    Returns:
      A number in [0, 1].

    Raises:
      DataError: there are no clips.
    """
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if not len(labels):
        raise DataError("expected probabilities of one clip or more, got none")
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    # n_b * |accuracy - confidence| = |sum of right - sum of confidence|
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))
