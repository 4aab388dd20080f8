"""How alike the methods' maps of the same clips are, from the maps that records keep."""

from collections.abc import Sequence

import numpy as np

from tfvid.experiments.attribution.records import Record
from tfvid.metrics.agreement import spearman_matrix


def agreement(records: Sequence[Record], methods: Sequence[str], clips: Sequence[str]) -> np.ndarray:
    """The mean over clips of Spearman's rank correlation of every two methods' maps.

    Args:
      records: of one network, with their maps.
      methods: M of them.
      clips: ids; one of which a method has no map is left out.

    Returns:
      Float64 `(M, M)`, NaN where no clip has maps of all methods.
    """
    maps = {(record.method, record.clip): record.coarse for record in records}
    whole = [clip for clip in clips if all((method, clip) in maps for method in methods)]
    if not whole or not methods:
        return np.full((len(methods), len(methods)), np.nan)
    matrices = [  # a clip at a time: a matrix of all clips at once would hold all maps
        spearman_matrix({method: maps[method, clip][np.newaxis].astype(np.float32) for method in methods})[0]
        for clip in whole
    ]
    return np.asarray(np.mean(matrices, axis=0, dtype=np.float64))
