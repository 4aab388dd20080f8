"""Segments: the parts of a clip that stay or go as a whole.

A segmentation is an integer array `(B or 1, T, H, W)` with the label of each voxel; voxels with the same label are one
segment. `frames`, `grid` and `supervoxels` return segmentations; users can pass their own.
"""

import numpy as np

from tfvid.core.errors import TfvidError, unknown


def frames(clips) -> np.ndarray:
    """Returns one segment for each frame: int32 `(1, T, H, W)`."""
    return grid(clips, (clips.shape[1], 1, 1))


def grid(clips, cells: tuple[int, int, int]) -> np.ndarray:
    """Returns one segment for each cell of a grid.

    Args:
      clips: `(B, T, H, W, C)`.
      cells: the numbers of cells along (T, H, W), each 1 or more; at most one cell for each voxel. The sizes of cells
        along an axis differ by at most one voxel.

    Returns:
      int32 `(1, T, H, W)`.
    """
    if len(cells) != 3 or any(not isinstance(n, int | np.integer) or n < 1 for n in cells):
        raise TfvidError(f"segments: expected cells along (T, H, W), three whole numbers of 1 or more, got {cells}")
    cells = [min(n, size) for n, size in zip(cells, clips.shape[1:4], strict=True)]
    t, y, x = (np.arange(size, dtype=np.int32) * n // size for n, size in zip(cells, clips.shape[1:4], strict=True))
    return ((t[:, None, None] * cells[1] + y[:, None]) * cells[2] + x)[np.newaxis].astype(np.int32)


def supervoxels(clips, count: int = 64, steps: int = 4, compactness: float = 10.0) -> np.ndarray:
    """Returns segments of near voxels of similar colour: SLIC (Achanta et al., PAMI 2012), by scikit-image.

    SLIC starts from a regular grid of centres. A clip has far fewer frames than rows and columns, so that grid has one
    centre in time, and all segments would span the whole clip. So each of `steps` pieces of the clip is segmented
    alone.

    Args:
      clips: float `(B, T, H, W, C)`; three channels are taken as RGB in [0, 1].
      count: the number of segments wanted; SLIC makes slightly more or fewer, with a different number for each clip.
      steps: the number of pieces in time, at most T.
      compactness: the weight of distance against colour, above 0.

    Returns:
      int32 `(B, T, H, W)`.

    Raises:
      TfvidError: scikit-image is not installed.
    """
    try:
        from skimage.segmentation import slic
    except ImportError as error:
        raise TfvidError("supervoxels need scikit-image: pip install scikit-image") from error
    clips = np.asarray(clips)
    pieces = np.array_split(np.arange(clips.shape[1]), min(steps, clips.shape[1]))
    cut = []
    for clip in clips:
        labels, used = [], 0
        for piece in pieces:
            part = slic(clip[piece], -(-count // len(pieces)), compactness, channel_axis=-1, start_label=0)
            labels.append(part + used)
            used += part.max() + 1
        cut.append(np.concatenate(labels))
    return np.stack(cut).astype(np.int32)


def cutter(segments):
    """Returns a function from clips `(B, T, H, W, C)` to labels `(B or 1, T, H, W)`.

    Args:
      segments: "frames"; "supervoxels", with their defaults; three whole numbers, the cells of a `grid` along
        (T, H, W); ints `(T, H, W)` or `(1, T, H, W)`, labels for all clips; or such a function.

    Raises:
      TfvidError: another value.
    """
    if callable(segments):
        return segments
    if isinstance(segments, str):
        if segments not in NAMED:
            raise TfvidError(
                unknown("segments", segments, NAMED) + ", three cell counts (t, h, w), or labels (T, H, W)"
            )
        return NAMED[segments]
    labels = np.asarray(segments)
    if labels.ndim == 1:
        return lambda clips: grid(clips, segments)
    return lambda clips: labels if labels.ndim == 4 else labels[np.newaxis]


NAMED = {"frames": frames, "supervoxels": supervoxels}


def numbered(labels) -> np.ndarray:
    """Returns the labels of one clip as 0, 1, ..., in the order of the labels: int32, same shape."""
    _, segments = np.unique(labels, return_inverse=True)
    return segments.reshape(np.shape(labels)).astype(np.int32)


def checked_labels(labels, shape: tuple) -> np.ndarray:
    """Returns labels that fit clips of `shape` (B, T, H, W, C).

    Raises:
      TfvidError: not whole numbers, or another shape.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape[1:] != shape[1:4] or len(labels) not in (1, shape[0]):
        raise TfvidError(
            f"segments: expected whole numbers (1 or {shape[0]}, {', '.join(map(str, shape[1:4]))}), "
            f"got {labels.dtype} {labels.shape}"
        )
    return labels
