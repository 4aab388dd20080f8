"""How many spots a heatmap has, how large they are, and how far from the middle of the frame: the paper's measures.

Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 4.3: OpenCV's `SimpleBlobDetector` on each frame of a
map at the clip's own resolution. Neither the paper nor its published code says with which parameters. Those of
`_detector` are OpenCV's own, but for the ones that would drop just what is to be counted; see there.
"""

from typing import NamedTuple

import cv2
import numpy as np

from tfvid.errors import TfvidError


class BlobStatistics(NamedTuple):
    """The blobs of each map.

    Attributes:
      count: float32 `(B,)`, blobs a frame, the mean over all frames.
      size: float32 `(B,)`, pixels, the mean diameter over all blobs of the clip; NaN where it has none.
      centre_distance: float32 `(B,)`, pixels from a blob's middle to the middle of the frame, the mean over all blobs
        of the clip; NaN where it has none.
    """

    count: np.ndarray
    size: np.ndarray
    centre_distance: np.ndarray


def blob_statistics(maps) -> BlobStatistics:
    """Counts and measures the blobs of heatmaps.

    Each map is scaled by its clip's maximum, so that frames stay comparable with one another; what is below zero
    counts as zero. Sizes and distances are in pixels of the map: compare maps of one resolution only.

    Args:
      maps: float `(B, T, H, W)`, at the clip's resolution (a result's ``attribution``, not its ``native``).

    Returns:
      `BlobStatistics`.

    Raises:
      TfvidError: not of that shape, or NaN or infinite values.
    """
    maps = np.asarray(maps, np.float32)
    if maps.ndim != 4 or not np.isfinite(maps).all():
        what = f"shape {maps.shape}" if maps.ndim != 4 else "NaN or infinite values"
        raise TfvidError(f"expected finite maps of shape (B, T, H, W), got {what}")
    detector, statistics = _detector(), []
    middle = (np.array(maps.shape[:1:-1], np.float32) - 1) / 2  # (x, y) of the frame, in OpenCV's pixel coordinates
    for clip in _eight_bit(maps):
        found = [detector.detect(frame) for frame in clip]
        blobs = [(*blob.pt, blob.size) for frame in found for blob in frame]
        if not blobs:
            statistics.append((0.0, np.nan, np.nan))
            continue
        places, sizes = np.split(np.array(blobs, np.float32), [2], axis=1)
        distance = np.linalg.norm(places - middle, axis=1).mean()
        statistics.append((len(blobs) / len(clip), sizes.mean(), distance))
    return BlobStatistics(*np.array(statistics, np.float32).reshape(-1, 3).T)


def _eight_bit(maps: np.ndarray) -> np.ndarray:
    """Each map over its clip's maximum, as uint8; a map of zeros stays zero."""
    maps = np.maximum(maps, 0)
    highest = maps.max(axis=(1, 2, 3), keepdims=True)
    shares = np.divide(maps, highest, out=np.zeros_like(maps), where=highest > 0)
    return np.rint(255 * shares).astype(np.uint8)


def _detector() -> cv2.SimpleBlobDetector:
    """Bright regions found at two thresholds or more, in steps of 10 from 50 to 220 of 255, as by default.

    A region counts if it is bright at its centroid, so one that is bent around it (an L, a ring) does not.
    """
    parameters = cv2.SimpleBlobDetector_Params()
    parameters.filterByColor = True
    parameters.blobColor = 255  # the default looks for dark blobs
    parameters.minThreshold, parameters.maxThreshold, parameters.thresholdStep = 50, 220, 10
    parameters.minRepeatability = 2
    parameters.minDistBetweenBlobs = 10  # pixels; closer ones are one blob
    parameters.filterByArea = True
    parameters.minArea, parameters.maxArea = 25, np.finfo(np.float32).max  # by default above 5000 pixels is no blob
    # Hot regions have any shape; the defaults drop long ones and those that are not convex.
    parameters.filterByCircularity = parameters.filterByConvexity = parameters.filterByInertia = False
    parameters.collectContours = False
    return cv2.SimpleBlobDetector_create(parameters)
