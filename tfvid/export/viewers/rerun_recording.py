"""Recordings for the Rerun viewer: frames, heat and the mask over time, in one .rrd file."""

from pathlib import Path

import cv2
import numpy as np

from tfvid.core.errors import check_choice
from tfvid.core.files import replacing, safe_name
from tfvid.core.optional import needed
from tfvid.export.viewers.clips import ViewedClip, explained_clips
from tfvid.report.overlay import COLORMAPS

OPACITY = 0.75  # of the largest heat
QUALITY = 90  # of the frames' JPEGs


def to_rerun(source, path, clips=None, *, class_names=None, names=None, colormap: str = "inferno") -> Path:
    """Writes explained clips as one recording for the Rerun viewer: ``rerun explained.rrd``.

    Every clip has a folder of its name (with "-" for other characters than letters, digits, "." and "_"):

    * ``<clip>/frames``: the frames, JPEG;
    * ``<clip>/frames/<method>``: the heat over them, RGBA pictures whose opacity grows with the heat;
    * ``<clip>/heat/<method>``: the mean heat of each frame, a number in [0, 1];
    * ``<clip>/mask``: the mask's value for each frame, in [0, 1];
    * ``<clip>/about``: classes and scores, text.

    All are on the timeline "frame", from 0, and on "time" if the seconds of the frames are known. The viewer opens with
    the pictures of each method beside each other and the curves below them.

    Args:
      source: results or a folder of records, see `tfvid.export.explained_clips`.
      path: the file, ``.rrd``, written completely or not at all.
      clips: see `tfvid.export.explained_clips`.
      class_names: see `tfvid.export.explained_clips`.
      names: see `tfvid.export.explained_clips`.
      colormap: the colours of the heat, "inferno", "viridis", "turbo" or "jet".

    Returns:
      The path.

    Raises:
      ConfigError: Rerun is not installed: ``pip install 'tfvid[rerun]'``.
      TfvidError: as in `tfvid.export.explained_clips`, or an unknown colour map.

    Example:
      >>> tfvid.export.to_rerun("runs/explain", "explained.rrd")
    """
    rerun, blueprint = needed("rerun", "rerun"), needed("rerun.blueprint", "rerun")
    check_choice("colormap", colormap, COLORMAPS)
    with replacing(path) as temporary:
        recording, tabs = rerun.RecordingStream("tfvid"), []
        recording.save(str(temporary))
        for clip in explained_clips(source, clips, class_names=class_names, names=names):
            _log(rerun, recording, clip, colormap)
            tabs.append(_tab(blueprint, clip))
        recording.send_blueprint(blueprint.Blueprint(blueprint.Tabs(*tabs), collapse_panels=True))
        recording.flush()
        recording.disconnect()
    return Path(path)


def _log(rerun, recording, clip: ViewedClip, colormap: str) -> None:
    root, size = safe_name(clip.name), clip.frames.shape[1:3]
    about = [f"# {clip.name}", f"explained: {clip.target}", f"predicted: {clip.predicted}"]
    about += [f"true: {clip.label}"] if clip.label else []
    about += [f"{name} {score:.3f}" for name, score in clip.scores.items()]
    recording.log(f"{root}/about", rerun.TextDocument("\n\n".join(about), media_type="text/plain"), static=True)
    for t, frame in enumerate(clip.frames):
        recording.set_time("frame", sequence=t)
        if len(clip.seconds):
            recording.set_time("time", duration=float(clip.seconds[t]))
        recording.log(f"{root}/frames", rerun.Image(frame).compress(jpeg_quality=QUALITY))
        for method, heat in clip.heat.items():
            picture = coloured(heat[t], size, colormap)
            recording.log(f"{root}/frames/{safe_name(method)}", rerun.Image(picture, draw_order=1.0))
            recording.log(f"{root}/heat/{safe_name(method)}", rerun.Scalars(float(heat[t].mean())))
        if clip.mask is not None:
            recording.log(f"{root}/mask", rerun.Scalars(float(clip.mask[t])))


def _tab(blueprint, clip: ViewedClip):
    """The views of a clip: its frames, its frames under the heat of each method, and the curves and the text below."""
    root = safe_name(clip.name)
    views = [blueprint.Spatial2DView(origin=f"/{root}/frames", contents="$origin", name="clip")]
    for method in clip.heat:
        contents = ["$origin", f"$origin/{safe_name(method)}"]
        views.append(blueprint.Spatial2DView(origin=f"/{root}/frames", contents=contents, name=method))
    curves = blueprint.TimeSeriesView(origin=f"/{root}", contents=["$origin/mask", "$origin/heat/**"], name="over time")
    text = blueprint.TextDocumentView(origin=f"/{root}/about", name="about")
    below = blueprint.Horizontal(curves, text, column_shares=[3, 1])
    return blueprint.Vertical(blueprint.Horizontal(*views), below, row_shares=[2, 1], name=clip.name)


def coloured(heat: np.ndarray, size: tuple[int, int], colormap: str) -> np.ndarray:
    """Returns heat `(h, w)` in [0, 1] as a picture, uint8 `(H, W, 4)`, whose opacity is `OPACITY` times the heat."""
    heat = cv2.resize(heat, size[::-1], interpolation=cv2.INTER_LINEAR)
    levels = (heat * 255 + 0.5).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, COLORMAPS[colormap][0]), cv2.COLOR_BGR2RGB)
    return np.dstack([colours, (OPACITY * heat * 255 + 0.5).astype(np.uint8)])
