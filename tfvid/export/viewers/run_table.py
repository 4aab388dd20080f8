"""A table of explained clips in a run of Weights & Biases or trackio, whose calls are the same."""

import sys

import numpy as np

from tfvid.core.errors import TfvidError
from tfvid.core.optional import needed
from tfvid.export.viewers.clips import ViewedClip, explained_clips
from tfvid.report.sheet import Block, draw_blocks

TRACKERS = ("wandb", "trackio")


def log_table(run, source, clips=None, *, key: str = "explanations", class_names=None, names=None):
    """Logs a table of explained clips, one row per clip, to a run of Weights & Biases or trackio.

    The columns are the clip, the classes, the scores (see `tfvid.export.ViewedClip`), the length of the mask in frames,
    the necessary (or sufficient) frames, "5-9" counted from 1, and a picture of the frames with the heat and the mask.
    What no clip has is left out.

    Args:
      run: from ``wandb.init(...)`` or ``trackio.init(...)``. With ``wandb.init(mode="offline")`` nothing is sent.
      source: results or a folder of records, see `tfvid.export.explained_clips`.
      clips: see `tfvid.export.explained_clips`.
      key: the name of the table in the run.
      class_names: see `tfvid.export.explained_clips`.
      names: see `tfvid.export.explained_clips`.

    Returns:
      The table that was logged, a `wandb.Table` or a `trackio.Table`.

    Raises:
      TfvidError: `run` is of another package; otherwise as in `tfvid.export.explained_clips`.

    Example:
      >>> run = wandb.init(project="fights", mode="offline")
      >>> tfvid.export.log_table(run, {"grad_cam": maps, "temporal_mask": masks})
    """
    package = type(run).__module__.partition(".")[0]
    if package not in TRACKERS:
        kind = type(run)
        raise TfvidError(f"run: expected one of wandb.init or trackio.init, got {kind.__module__}.{kind.__qualname__}")
    tracker = sys.modules[package]  # imported, since there is a run
    rows = [
        row(clip) | {"frames": tracker.Image(np.asarray(sheet(clip)))}
        for clip in explained_clips(source, clips, class_names=class_names, names=names)
    ]
    table = _table(tracker, rows)
    run.log({key: table})
    return table


def _table(tracker, rows: list[dict]):
    """A table of rows by column. wandb keeps pictures in lists only, and trackio names columns in data frames only."""
    if tracker.__name__ == "trackio":
        return tracker.Table(dataframe=needed("pandas", "trackio").DataFrame(rows))
    columns = list({column: None for values in rows for column in values})
    return tracker.Table(columns=columns, data=[[values.get(column) for column in columns] for values in rows])


def row(clip: ViewedClip) -> dict[str, object]:
    """Returns the values of a clip by column, without the picture."""
    values: dict[str, object] = {"clip": clip.name, "explained": clip.target, "predicted": clip.predicted}
    values |= {"true": clip.label} if clip.label else {}
    values |= clip.scores
    if clip.mask is not None:
        values["mask length"] = int((np.asarray(clip.mask) > 0.5).sum())
        values[f"{clip.objective} frames"] = ", ".join(f"{first + 1}-{last + 1}" for first, last in clip.windows())
    return values


def sheet(clip: ViewedClip):
    """Returns a picture of the clip's frames, the heat of each method, and the strip of the mask."""
    return draw_blocks([Block(clip.panels(), clip.mask)], title=clip.target, columns=8)
