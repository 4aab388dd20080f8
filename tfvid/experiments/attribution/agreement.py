"""The agreement of the methods: the rank correlation of their maps of the same clips."""

from collections.abc import Sequence

import numpy as np

from tfvid.experiments.attribution.records import Record
from tfvid.metrics.agreement import spearman_matrix


def agreement(records: Sequence[Record], methods: Sequence[str], clips: Sequence[str]) -> np.ndarray:
    """Computes the mean over clips of Spearman's rank correlation between the maps of every two methods.

    Args:
      records: of one network, with their maps.
      methods: names of M methods.
      clips: ids; a clip without a map of every method is left out.

    Returns:
      Float64 `(M, M)`; all NaN if no clip has maps of all methods.
    """
    maps = {(record.method, record.clip): record.coarse for record in records}
    whole = [clip for clip in clips if all((method, clip) in maps for method in methods)]
    if not whole or not methods:
        return np.full((len(methods), len(methods)), np.nan)
    matrices = [  # one clip at a time, to save memory
        spearman_matrix({method: maps[method, clip][np.newaxis].astype(np.float32) for method in methods})[0]
        for clip in whole
    ]
    return np.asarray(np.mean(matrices, axis=0, dtype=np.float64))
