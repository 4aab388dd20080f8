"""The files that ``tfvid evaluate`` writes: ``metrics.json``, tables as CSV, and confusion matrices as pictures."""

import csv
import json
from pathlib import Path

from tfvid.core.files import replacing
from tfvid.experiments.evaluation import Predictions
from tfvid.metrics.classification import confusion
from tfvid.report.figures import confusion_matrix

TOTALS = ("top_1", "top_5", "f1", "f1_top_5")


def write_evaluation(out: Path, results: dict, predictions: Predictions) -> None:
    """Writes all files; ``metrics.json`` comes last.

    Args:
      out: the folder.
      results: the content of ``metrics.json``.
      predictions: the logits that it was computed from.
    """
    names = results["class_names"]
    matrices = {
        playback: confusion(predictions.labels, logits.argmax(axis=1), len(names))
        for playback, logits in predictions.logits.items()
    }
    _write_scores(out, results, matrices["forward"].sum(axis=1).tolist())
    for playback, matrix in matrices.items():
        rows = [[name, *row] for name, row in zip(names, matrix.tolist(), strict=True)]
        _write_csv(out / f"confusion_{playback}.csv", ["true \\ predicted", *names], rows)
        confusion_matrix(matrix, names, out / f"confusion_{playback}.png", f"{results['split']}, {playback}")
    with replacing(out / "metrics.json") as temporary:
        temporary.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_scores(out: Path, results: dict, counts: list[int]) -> None:
    """Writes ``scores.csv``, one row for each playback, and ``class_f1.csv``, one row for each class.

    Args:
      out: the folder.
      results: the content of ``metrics.json``.
      counts: the number of clips of each class.
    """
    playbacks = results["playbacks"]
    rows = [[playback, *(scores[total] for total in TOTALS)] for playback, scores in playbacks.items()]
    _write_csv(out / "scores.csv", ["playback", *TOTALS], rows)
    columns = [scores["class_f1"] for scores in playbacks.values()]
    rows = [list(row) for row in zip(results["class_names"], counts, *columns, strict=True)]
    _write_csv(out / "class_f1.csv", ["class", "clips", *playbacks], rows)


def _write_csv(path: Path, header: list[str], rows: list[list]) -> None:
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
