"""Samples for FiftyOne: a heatmap for each frame, and the mask's windows as temporal detections.

The formats are those of FiftyOne's user guide: "Video datasets", "Heatmaps" and "Temporal detection".
"""

import re
from pathlib import Path

import numpy as np

from tfvid.core.files import safe_name
from tfvid.core.optional import needed
from tfvid.export.viewers.clips import ViewedClip, explained_clips
from tfvid.export.viewers.video_file import write_video


def to_fiftyone(source, folder, clips=None, *, fps: float = 5.0, class_names=None, names=None) -> list:
    """Writes explained clips as video files, and returns them as samples for a FiftyOne dataset.

    A sample's video has the T frames that were explained, so that heat and mask belong to its frames one to one. Its
    fields:

    * `explained`, `predicted` and `ground_truth` (if known): `fiftyone.Classification`;
    * `mask`: `fiftyone.TemporalDetections`, windows of frames that the mask chooses, with the mean value of the
      mask there as `confidence`; missing without a temporal mask;
    * `scores`: numbers by name, see `ViewedClip`;
    * `frames`: for each frame, from 1, a `fiftyone.Heatmap` in [0, 1] by the name of the method, and `mask_value`.

    Args:
      source: results or a folder of records, see `tfvid.export.explained_clips`.
      folder: the folder for the video files, ``<folder>/<name>.mp4``. The samples refer to them: keep it.
      clips: see `tfvid.export.explained_clips`.
      fps: frames per second of the video files.
      class_names: see `tfvid.export.explained_clips`.
      names: see `tfvid.export.explained_clips`.

    Returns:
      A list of `fiftyone.Sample`, which belong to no dataset yet.

    Raises:
      ConfigError: FiftyOne is not installed: ``pip install 'tfvid[fiftyone]'``.
      TfvidError: as in `tfvid.export.explained_clips`.

    Example:
      >>> samples = tfvid.export.to_fiftyone({"grad_cam": maps, "temporal_mask": masks}, "videos")
      >>> dataset = fiftyone.Dataset("explained"); dataset.add_samples(samples); fiftyone.launch_app(dataset)
    """
    fiftyone, folder = needed("fiftyone", "fiftyone"), Path(folder).absolute()
    return [
        _sample(fiftyone, clip, write_video(folder / f"{safe_name(clip.name)}.mp4", clip.frames, fps))
        for clip in explained_clips(source, clips, class_names=class_names, names=names)
    ]


def _sample(fiftyone, clip: ViewedClip, video: Path):
    fields = {
        "explained": fiftyone.Classification(label=clip.target, confidence=clip.scores.get("OS")),
        "predicted": fiftyone.Classification(label=clip.predicted),
        "scores": dict(clip.scores),
    }
    if clip.label:
        fields["ground_truth"] = fiftyone.Classification(label=clip.label)
    if clip.mask is not None:
        fields["mask"] = fiftyone.TemporalDetections(detections=_windows(fiftyone, clip, clip.mask))
    sample = fiftyone.Sample(filepath=str(video), name=clip.name, **fields)
    for t in range(len(clip.frames)):
        frame = fiftyone.Frame()
        for method, heat in clip.heat.items():
            frame[field_name(method)] = fiftyone.Heatmap(map=heat[t], range=[0, 1])
        if clip.mask is not None:
            frame["mask_value"] = float(clip.mask[t])
        sample.frames[t + 1] = frame
    return sample


def _windows(fiftyone, clip: ViewedClip, mask: np.ndarray) -> list:
    return [
        fiftyone.TemporalDetection(
            label=clip.target, support=[first + 1, last + 1], confidence=float(mask[first : last + 1].mean())
        )
        for first, last in clip.windows()
    ]


def field_name(method: str) -> str:
    """Returns the name of a method as the name of a field: letters, digits and underscores."""
    return re.sub(r"\W+", "_", method).strip("_")
