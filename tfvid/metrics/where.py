"""Localization in space: maps against boxes, one number for each clip.

Boxes are `(B, T, N, 4)`, (top, left, bottom, right) in pixels, NaN if an object is absent. Boxes are cut at the edges
of the frame; a box outside the frame is absent. A clip without boxes has the value 0; exclude it from a mean by
`known_boxes`.
"""

import numpy as np
from scipy.ndimage import distance_transform_edt

from tfvid.core.errors import check_choice
from tfvid.metrics.checks import checked_boxes, checked_maps
from tfvid.metrics.localization import energy_in_boxes, has_box, inside_boxes
from tfvid.metrics.overlap import overlap


def known_boxes(boxes, shape: tuple) -> np.ndarray:
    """Returns which clips have a box in a frame, bool `(B,)`.

    Args:
      boxes: `(B, T, N, 4)`.
      shape: `(B, T, H, W)` of the maps.
    """
    return np.asarray(has_box(checked_boxes(boxes, shape)).any(axis=1))


def pointing_game(maps, boxes, margin: float | None = None, region: str = "box") -> np.ndarray:
    """Returns the share of frames whose largest value lies in a box, of the frames with a box; larger is better.

    A frame with several largest values, such as a frame of zeros, counts by the share of these values that lies in a
    box, which is the expected result for a random one of them.

    Zhang et al., "Top-down Neural Attention by Excitation Backprop", IJCV 2018, section 4.1; on video, Li et al., arXiv
    2005.00375, section 4: boxes grow by 7 pixels in frames of 112 x 112, by 15 in 224 x 224.

    Args:
      maps: `(B, T, H, W)`.
      boxes: `(B, T, N, 4)`.
      margin: the pixels by which boxes grow on each side; None for `pointing_margin` of the frame's size.
      region: how boxes grow. "box" moves each side by `margin`, as in Li et al.; "disc" adds the pixels nearer than
        `margin` to a pixel of the box, as TorchRay does, so that corners are round.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: shapes that do not fit, NaN in a map, a box that ends before it starts, or an unknown region.
    """
    check_choice("region", region, ("box", "disc"))
    maps = checked_maps(maps)
    boxes = checked_boxes(boxes, maps.shape)
    if margin is None:
        margin = pointing_margin(*maps.shape[2:])
    largest = maps == maps.max(axis=(2, 3), keepdims=True)
    height, width = maps.shape[2:]
    if region == "box":
        inside = inside_boxes(boxes, height, width, margin)
    else:
        inside = _within(inside_boxes(boxes, height, width), margin)
    hit = np.sum(largest & inside, axis=(2, 3)) / largest.sum(axis=(2, 3))
    frames = has_box(boxes)
    return (np.sum(hit * frames, axis=1) / np.maximum(frames.sum(axis=1), 1)).astype(np.float32)


def _within(inside: np.ndarray, distance: float) -> np.ndarray:
    """The pixels inside, and those nearer than `distance` to one of them: bool `(B, T, H, W)`."""
    grown = inside.copy()
    for frame in np.ndindex(inside.shape[:2]):
        if inside[frame].any():
            grown[frame] |= distance_transform_edt(~inside[frame]) < distance
    return grown


def pointing_margin(height: int, width: int) -> int:
    """Returns the pixels by which boxes grow: 15 / 224 of the shorter side, as published for 112 and 224 pixels."""
    return 15 * min(height, width) // 224


def energy_in_box(maps, boxes) -> np.ndarray:
    """Returns the share of the positive map inside the boxes, over the frames with a box; larger is better.

    Wang et al., "Score-CAM", CVPR Workshops 2020, section 4.3, for boxes in each frame.

    Args:
      maps: `(B, T, H, W)`; negative values count as zero.
      boxes: `(B, T, N, 4)`.

    Returns:
      Float32 `(B,)` in [0, 1]; 0 if no value of the map is above zero.

    Raises:
      TfvidError: shapes that do not fit, NaN in a map, or a box that ends before it starts.
    """
    maps = checked_maps(maps)
    return energy_in_boxes(maps.astype(np.float64), checked_boxes(boxes, maps.shape)).astype(np.float32)


def spatio_temporal_iou(maps, boxes, threshold: float | None = None) -> np.ndarray:
    """Returns the intersection over union of the map's most relevant voxels and the tube of boxes; larger is better.

    All frames count, also those without a box.

    Args:
      maps: `(B, T, H, W)`.
      boxes: `(B, T, N, 4)`.
      threshold: a number in [0, 1): voxels above this share of the clip's maximum count. None: as many voxels as lie in
        the boxes, so that maps of any scale and extent can be compared; equal values at the limit count in equal
        shares.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: shapes that do not fit, NaN in a map, a box that ends before it starts, or a threshold out of range.
    """
    maps = checked_maps(maps)
    inside = inside_boxes(checked_boxes(boxes, maps.shape), *maps.shape[2:])
    return overlap(maps.reshape(len(maps), -1), inside.reshape(len(maps), -1), threshold)
