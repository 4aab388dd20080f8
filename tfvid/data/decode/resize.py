"""Resizing by area, with the pixels of OpenCV's `INTER_AREA`.

An output pixel is the mean of the area that it covers. So the output is a product of the frame with two sparse
matrices, one for each axis, in float32. From 426x240 to 224x224 this takes 0.21 ms, OpenCV 0.65 ms
(docs/performance.md). OpenCV resizes frames that become larger, or smaller by whole factors.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from math import ceil, floor
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MOST_VALUES = 1 << 26  # in a frame; as float32 more would take over 256 MB
LONGEST_SIDE = 1 << 14  # of a frame; the weights of longer ones take long to make and much memory to keep
MOST_KEPT = 1 << 25  # bytes that each thread keeps between two frames; enough for a frame of 1920 x 1080
_kept = threading.local()


def resize_into(out: np.ndarray, frame: np.ndarray) -> None:
    """Writes a frame into `out` as ``cv2.resize`` with ``INTER_AREA`` resizes it; values differ by at most 1.

    Args:
      out: uint8 `(H, W, 3)`, in RGB or in any other order of channels.
      frame: uint8 `(H', W', 3)`.
    """
    (height, width), (from_height, from_width) = out.shape[:2], frame.shape[:2]
    shrinks = from_height >= height and from_width >= width
    whole = from_height % height == from_width % width == 0  # OpenCV is fast for these
    large = frame.size > MOST_VALUES or max(from_height, from_width) > LONGEST_SIDE
    if not shrinks or whole or large:
        cv2.resize(frame, (width, height), dst=out, interpolation=cv2.INTER_AREA)
        return
    stored, columns, rows = _scratch(from_height, from_width, width)
    cv2.transpose(frame, dst=stored)
    np.copyto(columns, stored)
    narrow = area_weights(from_width, width) @ columns.reshape(from_width, -1)
    cv2.transpose(narrow.reshape(width, from_height, 3), dst=rows)
    cv2.convertScaleAbs(area_weights(from_height, height) @ rows.reshape(from_height, -1), dst=out.reshape(height, -1))


def _scratch(from_height: int, from_width: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns memory for intermediate results: the transposed frame, uint8 and float32; the narrowed frame, float32.

    Each thread keeps its last arrays for the next frame of the same size.
    """
    key = from_height, from_width, width
    if getattr(_kept, "key", None) != key:
        transposed, narrow = (from_width, from_height, 3), (from_height, width, 3)
        arrays = np.empty(transposed, np.uint8), np.empty(transposed, np.float32), np.empty(narrow, np.float32)
        if sum(array.nbytes for array in arrays) > MOST_KEPT:
            return arrays
        _kept.key, _kept.arrays = key, arrays
    return _kept.arrays


@lru_cache(maxsize=64)
def area_weights(count: int, wanted: int) -> csr_array:
    """The weight of each input pixel in each output pixel, float32 `(wanted, count)`.

    They are those of OpenCV's `computeResizeAreaTab`, which leaves out parts below a thousandth of a pixel.
    """
    from scipy.sparse import csr_array  # half of the start of a decode process, and few sizes need it

    scale = count / wanted
    values, places, ends = [], [], [0]
    for i in range(wanted):
        begin, end = i * scale, (i + 1) * scale
        cell = min(scale, count - begin)
        last = min(floor(end), count - 1)
        first = min(ceil(begin), last)
        shares = [(first - 1, first - begin)] if first - begin > 1e-3 else []
        shares += [(place, 1.0) for place in range(first, last)]
        shares += [(last, min(end - last, 1.0, cell))] if end - last > 1e-3 else []
        places += [place for place, _ in shares]
        values += [share / cell for _, share in shares]
        ends.append(len(places))
    return csr_array((np.array(values, np.float32), places, ends), (wanted, count))
