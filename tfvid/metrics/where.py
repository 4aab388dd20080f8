"""Does a map find the object? Maps against boxes, one number a clip.

Boxes are `(B, T, N, 4)`, (top, left, bottom, right) in pixels, NaN where an object is absent. What lies outside the
frame is cut off, and a box wholly outside is absent. A clip without any box has 0 everywhere: leave those out of a mean
with `known_boxes`.
"""

import numpy as np
from scipy.ndimage import distance_transform_edt

from tfvid.core.errors import check_choice
from tfvid.metrics.checks import checked_boxes, checked_maps
from tfvid.metrics.localization import energy_in_boxes, has_box, inside_boxes
from tfvid.metrics.overlap import overlap


def known_boxes(boxes, shape: tuple) -> np.ndarray:
    """Which clips have a box in a frame: boxes and the maps' shape `(B, T, H, W)` to bool `(B,)`."""
    return np.asarray(has_box(checked_boxes(boxes, shape)).any(axis=1))


def pointing_game(maps, boxes, margin: float | None = None, region: str = "box") -> np.ndarray:
    """The share of frames whose largest value lies in a box, of those frames that have one; larger is better.

    Where a frame has several largest values, as one of zeros has, it counts as the share of them that lies in a box:
    what pointing at one of them at random would give.

    Zhang et al., "Top-down Neural Attention by Excitation Backprop", IJCV 2018, section 4.1; on video, Li et al., arXiv
    2005.00375, section 4: boxes grow by 7 pixels in frames of 112 x 112, by 15 in 224 x 224.

    Args:
      maps: `(B, T, H, W)`.
      boxes: `(B, T, N, 4)`.
      margin: pixels by which boxes grow on each side; None for `pointing_margin` of the frame's size.
      region: how boxes grow. "box" grows each side by `margin`, as Li et al. write; "disc" takes the pixels that are
        nearer than `margin` to a pixel of the box, as the code of TorchRay does, so that corners are round.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: shapes that do not fit, NaN in a map, a box that ends before it starts, an unknown region.
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
    """Pixels inside, or nearer than `distance` to one inside: bool `(B, T, H, W)`."""
    grown = inside.copy()
    for frame in np.ndindex(inside.shape[:2]):
        if inside[frame].any():
            grown[frame] |= distance_transform_edt(~inside[frame]) < distance
    return grown


def pointing_margin(height: int, width: int) -> int:
    """The pixels by which boxes grow: 7 at 112 and 15 at 224, as published, in proportion to the shorter side else."""
    return 15 * min(height, width) // 224


def energy_in_box(maps, boxes) -> np.ndarray:
    """The share of the map above zero that lies in the boxes, over the frames that have one; larger is better.

    Wang et al., "Score-CAM", CVPR Workshops 2020, section 4.3, for boxes in each frame.

    Args:
      maps: `(B, T, H, W)`; values below zero count as zero.
      boxes: `(B, T, N, 4)`.

    Returns:
      Float32 `(B,)` in [0, 1]; 0 where nothing of the map is above zero.

    Raises:
      TfvidError: as `pointing_game`.
    """
    maps = checked_maps(maps)
    return energy_in_boxes(maps.astype(np.float64), checked_boxes(boxes, maps.shape)).astype(np.float32)


def spatio_temporal_iou(maps, boxes, threshold: float | None = None) -> np.ndarray:
    """Intersection over union of the map's most relevant voxels and the tube of boxes; larger is better.

    All frames count, for in those without a box there is nothing to be found.

    Args:
      maps: `(B, T, H, W)`.
      boxes: `(B, T, N, 4)`.
      threshold: None takes as many voxels as lie in the boxes, so that maps of any scale and extent can be compared
        (equal values at the limit by shares, as if drawn); a number in [0, 1) those above this share of the clip's
        maximum.

    Returns:
      Float32 `(B,)` in [0, 1].

    Raises:
      TfvidError: as `pointing_game`, or a threshold out of range.
    """
    maps = checked_maps(maps)
    inside = inside_boxes(checked_boxes(boxes, maps.shape), *maps.shape[2:])
    return overlap(maps.reshape(len(maps), -1), inside.reshape(len(maps), -1), threshold)
