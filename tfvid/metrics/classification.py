"""Measures of a classifier: top-k accuracy, confusion matrix and F1.

`labels` are int `(N,)` in [0, K). `logits` are float `(N, K)`, or any scores that rank the classes. A confusion matrix
is int `(K, K)` with a row for each true class and a column for each predicted class.

scikit-learn has the same values (tested). It is not used here: it would replace eight lines, takes 1.3 CPU seconds and
90 MB to import, and has no top-k hits for each clip.
"""

import numpy as np

from tfvid.core.errors import DataError


def in_top_k(logits: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Returns whether the label is among the `k` highest logits. Of equal logits, the lower class ranks first.

    Args:
      logits: float `(N, K)`.
      labels: int `(N,)`.
      k: 1 or more.

    Returns:
      Bool `(N,)`.

    Raises:
      DataError: a label outside [0, K), or a logit that is NaN.
    """
    wrong = np.flatnonzero(np.isnan(logits).any(axis=1))
    if wrong.size:
        raise DataError(f"the scores of clip {wrong[0]} are NaN ({wrong.size} of {len(logits)} clips' are)")
    labels = _checked(labels, logits.shape[1])
    ranking = np.argsort(-logits, axis=1, kind="stable")
    return np.any(ranking[:, :k] == labels[:, None], axis=1)


def confusion(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns the number of clips by (true class, predicted class), int64 `(K, K)`."""
    labels, predicted = _checked(labels, num_classes), _checked(predicted, num_classes)
    return np.bincount(labels * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)


def f1(matrix: np.ndarray) -> np.ndarray:
    """Returns the F1 of each class, float64 `(K,)`: ``2 TP / (2 TP + FP + FN)``.

    It is 0 for a class that neither occurs nor is predicted (0 / 0).

    Args:
      matrix: a confusion matrix.
    """
    true_positives = np.diag(matrix)
    seen = matrix.sum(axis=0) + matrix.sum(axis=1)  # = 2 TP + FP + FN
    return 2.0 * true_positives / np.maximum(seen, 1)


def macro_f1(matrix: np.ndarray) -> float:
    """Returns the mean F1 over the classes with clips; 0 without clips."""
    present = matrix.sum(axis=1) > 0
    return float(f1(matrix)[present].mean()) if present.any() else 0.0


def scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Returns the accuracies and the measures of the paper's table 1, each in [0, 1].

    For ``f1_top_5``, the predicted class of a clip is its label if the label is among the five highest logits, else the
    class with the highest logit.

    Args:
      logits: float `(N, K)`.
      labels: int `(N,)`.

    Returns:
      ``top_1``, ``top_5``, ``f1`` (macro) and ``f1_top_5`` (macro); with fewer than five classes, all count.

    Raises:
      DataError: no clips, a label outside [0, K), or a logit that is NaN.
    """
    if not len(logits):
        raise DataError("expected scores of one clip or more, got none")
    num_classes, predicted = logits.shape[1], logits.argmax(axis=1)
    hit = in_top_k(logits, labels, 5)
    return {
        "top_1": float(np.mean(predicted == labels)),
        "top_5": float(np.mean(hit)),
        "f1": macro_f1(confusion(labels, predicted, num_classes)),
        "f1_top_5": macro_f1(confusion(labels, np.where(hit, labels, predicted), num_classes)),
    }


def _checked(labels, num_classes: int) -> np.ndarray:
    labels = np.asarray(labels, np.int64)
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if wrong.size:
        raise DataError(f"label {wrong[0]} is not one of the {num_classes} classes (a split without labels?)")
    return labels
