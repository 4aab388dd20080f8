"""Fights in surveillance videos: 247 clips of two seconds, cut from 35 sources.

Aktı, Tataroğlu & Ekenel, "Vision-based Fight Detection from Surveillance Cameras", IPTA 2019, with a list of the source
of each clip. Clips of one source share the place and often the people, so they are all on one side of a split.
"""

from collections import defaultdict
from pathlib import Path

from tfvid.core.arguments import whole_number
from tfvid.core.errors import DataError, unknown
from tfvid.data.decode.clip import Sample
from tfvid.data.sources.csv_list import CSVList
from tfvid.data.sources.groups import divided, hold_out

CLASSES = ("fight", "noFight")
FOLDS = 5
SOURCES = ("all", "both")


class FightSurv(CSVList):
    """Clips of fights and of none, split by their sources.

    The sources are divided into five folds, such that each fold has nearly a fifth of the clips of each class. The
    division depends on the list only.

    Some sources have clips of one class only, e.g. a camera that never saw a fight. A model can tell those by the look
    of the place. ``sources="both"`` leaves only the sources that have clips of both classes. It does not change the
    folds, so a model that was trained on all sources can be evaluated on these.

    Args:
      root: the folder with ``fight/``, ``noFight/`` and ``sources.csv``, whose columns are path, label and source.
      fold: the fold that is held out for validation, 0 to 4.
      sources: "all", or "both" for the sources that have clips of both classes.

    Attributes:
      flip_labels: empty, because a mirror changes no label.

    Raises:
      DataError: the folder or the list is missing, or a line is not valid; one line that names it.
    """

    flip_labels = {}

    def __init__(self, root, *, fold=0, sources="all"):
        self._fold = whole_number(fold, "fold", 0)
        if self._fold >= FOLDS:
            raise DataError(f"fold must be 0 to {FOLDS - 1}, got {fold}")
        if sources not in SOURCES:
            raise DataError(unknown("sources", sources, SOURCES))
        self._kept = sources
        super().__init__(root, class_names=CLASSES, file="sources.csv", groups="source")

    def source(self, sample: Sample) -> str:
        """Returns the name of the source that the clip of a sample was cut from."""
        return self._sources[sample.id]

    def _hold_out(self, file: Path, rows: list[dict]) -> dict[str, list[dict]]:
        folds = folds_of([row["label"] for row in rows], [row["group"] for row in rows], FOLDS)
        self._sources = {row["path"]: row["group"] for row in rows}
        labels = defaultdict(set)
        for row in rows:
            labels[row["group"]].add(row["label"])
        kept = [
            (row, fold == self._fold)
            for row, fold in zip(rows, folds, strict=True)
            if self._kept == "all" or len(labels[row["group"]]) > 1
        ]
        return divided([row for row, _ in kept], [out for _, out in kept])


def folds_of(labels: list, groups: list, folds: int) -> list[int]:
    """Returns the fold of each clip, 0 to `folds` - 1: whole groups, with nearly the same share of each class."""
    fold = [folds - 1] * len(labels)
    left = list(range(len(labels)))
    for number in range(folds - 1):
        out = hold_out([labels[i] for i in left], [groups[i] for i in left], 1 / (folds - number))
        for i, is_out in zip(left, out, strict=True):
            if is_out:
                fold[i] = number
        left = [i for i, is_out in zip(left, out, strict=True) if not is_out]
    return fold
