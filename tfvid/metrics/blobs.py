"""The number and size of the blobs of a heatmap, and their distance from the centre of the frame.

Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 4.3: OpenCV's `SimpleBlobDetector` on each frame of a
map at the clip's resolution. Neither the paper nor its published code gives the parameters. `DETECTOR` has OpenCV's
defaults, except for filters that would drop the regions to be counted. `VARIANTS` has other parameters, to see how much
a conclusion depends on them.
"""

from collections.abc import Mapping
from numbers import Real
from typing import NamedTuple

import cv2
import numpy as np

from tfvid.core.errors import ConfigError, TfvidError, unknown

DETECTOR: dict[str, float | None] = {
    "min_threshold": 50,  # of 255, the maximum of a clip's map
    "max_threshold": 220,
    "threshold_step": 10,
    "min_repeatability": 2,  # thresholds at which a blob must appear
    "min_distance": 10,  # pixels; closer blobs are one blob
    "min_area": 25,  # pixels
    "max_area": None,  # OpenCV's default is 5000 pixels
    # Hot regions have any shape; OpenCV's defaults drop long ones and those that are not convex.
    "min_circularity": None,
    "min_convexity": None,
    "min_inertia": None,
}
"""Settings of the detector; None is no limit. A blob is a bright region at several thresholds."""

VARIANTS: dict[str, dict[str, float | None]] = {
    "as reported": {},
    "OpenCV's filters": {"max_area": 5000, "min_convexity": 0.95, "min_inertia": 0.1},
    "lower thresholds": {"min_threshold": 25},
    "higher thresholds": {"min_threshold": 100},
    "fine thresholds": {"threshold_step": 5},
    "small blobs too": {"min_area": 9},
    "large blobs only": {"min_area": 100},
}
"""Changes to `DETECTOR` by name, to repeat a comparison."""


class BlobStatistics(NamedTuple):
    """The blobs of each map.

    Attributes:
      count: float32 `(B,)`, the number of blobs of a frame, the mean over all frames.
      size: float32 `(B,)`, the mean diameter of all blobs of the clip, in pixels; NaN without blobs.
      centre_distance: float32 `(B,)`, the mean distance of all blobs of the clip from the centre of the frame, in
        pixels; NaN without blobs.
    """

    count: np.ndarray  # type: ignore[assignment]  # a tuple has a method of this name
    size: np.ndarray
    centre_distance: np.ndarray


def blob_statistics(maps, detector: Mapping[str, float | None] | None = None) -> BlobStatistics:
    """Counts and measures the blobs of heatmaps.

    Each map is divided by its clip's maximum, so that frames are comparable with one another; negative values count as
    zero. Sizes and distances are in pixels of the map, so compare maps of one resolution only.

    Args:
      maps: float `(B, T, H, W)`, at the clip's resolution (a result's ``attribution``, not its ``native``).
      detector: settings other than those of `DETECTOR`, e.g. one of `VARIANTS`.

    Returns:
      `BlobStatistics`.

    Raises:
      TfvidError: another shape, or NaN or infinite values.
      ConfigError: a setting that does not exist, or a value that OpenCV does not accept.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite
        maps = np.asarray(maps, np.float32)
    if maps.ndim != 4 or 0 in maps.shape[1:]:
        raise TfvidError(f"expected finite maps of shape (B, T, H, W), got shape {maps.shape}")
    if not np.isfinite(maps).all():
        raise TfvidError("expected finite maps of shape (B, T, H, W), got NaN or infinite values")
    found_by, statistics = _detector(detector or {}), []
    middle = (np.array(maps.shape[:1:-1], np.float32) - 1) / 2  # (x, y) of the frame, in OpenCV's pixel coordinates
    for clip in _eight_bit(maps):
        found = [found_by.detect(frame) for frame in clip]
        blobs = [(*blob.pt, blob.size) for frame in found for blob in frame]
        if not blobs:
            statistics.append((0.0, np.nan, np.nan))
            continue
        places, sizes = np.split(np.array(blobs, np.float32), [2], axis=1)
        distance = np.linalg.norm(places - middle, axis=1).mean()
        statistics.append((len(blobs) / len(clip), sizes.mean(), distance))
    return BlobStatistics(*np.array(statistics, np.float32).reshape(-1, 3).T)


def _eight_bit(maps: np.ndarray) -> np.ndarray:
    """Each map divided by its clip's maximum, as uint8; a map of zeros stays zero."""
    maps = np.maximum(maps, 0)
    highest = maps.max(axis=(1, 2, 3), keepdims=True)
    shares = np.divide(maps, highest, out=np.zeros_like(maps), where=highest > 0)
    return np.rint(255 * shares).astype(np.uint8)


def _detector(changes: Mapping[str, float | None]) -> cv2.SimpleBlobDetector:
    """A detector of bright regions. A region counts if it is bright at its centroid, so a ring does not."""
    for name, value in changes.items():
        if name not in DETECTOR:
            raise ConfigError(unknown("setting of the blob detector", name, DETECTOR))
        if not isinstance(value, Real) and (value is not None or DETECTOR[name] is not None):
            raise ConfigError(f"{name} of the blob detector must be a number, got {value!r}")
    settings = {**DETECTOR, **changes}
    parameters = cv2.SimpleBlobDetector.Params()
    parameters.filterByColor = parameters.filterByArea = True
    parameters.blobColor = 255  # the default looks for dark blobs
    parameters.maxArea = float(np.finfo(np.float32).max)
    parameters.filterByCircularity = settings["min_circularity"] is not None
    parameters.filterByConvexity = settings["min_convexity"] is not None
    parameters.filterByInertia = settings["min_inertia"] is not None
    parameters.collectContours = False
    for name, value in settings.items():
        if value is not None:
            setattr(parameters, _IN_OPENCV[name], value)
    try:
        return cv2.SimpleBlobDetector.create(parameters)
    except cv2.error as error:
        raise ConfigError(f"OpenCV's blob detector does not take {dict(changes)} ({error.err})") from error


_IN_OPENCV = {
    "min_threshold": "minThreshold",
    "max_threshold": "maxThreshold",
    "threshold_step": "thresholdStep",
    "min_repeatability": "minRepeatability",
    "min_distance": "minDistBetweenBlobs",
    "min_area": "minArea",
    "max_area": "maxArea",
    "min_circularity": "minCircularity",
    "min_convexity": "minConvexity",
    "min_inertia": "minInertiaRatio",
}
