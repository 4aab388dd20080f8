"""Which frames of a video make a clip."""

import numpy as np


def even_indices(count: int, num_frames: int) -> np.ndarray:
    """Indices of `num_frames` frames spread evenly over `count`, the first and the last included.

        indices = round(linspace(0, count - 1, num_frames))

    in float64. A tie (x.5) goes to the even neighbour, as `numpy.round` does: of 4 frames, 3 are 0, 2, 3 (1.5
    goes up to 2), and of 6 frames, 3 are 0, 2, 5 (2.5 goes down to 2). Where `count` is below `num_frames`,
    frames are repeated, still in order. One frame is the first.

    Args:
      count: frames there are, 1 or more.
      num_frames: frames wanted, T, 1 or more.

    Returns:
      int64 `(T,)`, in [0, count).
    """
    if count < 1 or num_frames < 1:
        raise ValueError(f"count and num_frames must be 1 or more, got {count} and {num_frames}")
    return np.round(np.linspace(0.0, count - 1.0, num_frames)).astype(np.int64)
