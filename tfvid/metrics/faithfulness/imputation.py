"""Noisy linear imputation: replaces hidden pixels by the weighted mean of their neighbours, plus noise.

Each hidden pixel is the weighted mean of its eight neighbours in the frame, 1/6 for those beside it and 1/12 for those
at its corners. Neighbours may be hidden, so the hidden pixels of a frame solve a sparse linear system:

    sum over neighbours j of  w_ij (x_i - x_j)  =  0        for each hidden pixel i

The picture inside a hole becomes smooth, and the outline of the hole does not show, which a constant colour would.

Rong, Leemann, Borisov, Kasneci & Kasneci, "A Consistent and Efficient Evaluation Strategy for Attribution Methods",
ICML 2022, section 4 and appendix C.
"""

from functools import lru_cache

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import spsolve

BESIDE, CORNER = 1 / 6, 1 / 12


def impute(clip: np.ndarray, hidden: np.ndarray, noise: float = 0.01, seed: int = 0) -> np.ndarray:
    """Returns a clip whose hidden pixels are imputed, frame by frame.

    Args:
      clip: float `(T, H, W, C)`.
      hidden: bool `(T, H, W)`, True for pixels to replace. A frame that is hidden as a whole becomes the mean colour of
        the other frames' shown pixels, or of the clip if all of it is hidden.
      noise: standard deviation of the normal noise on hidden pixels, as a share of the clip's range of values.
      seed: of the noise.

    Returns:
      Float32 `(T, H, W, C)`. Shown pixels stay unchanged.
    """
    clip = np.asarray(clip, np.float32)
    shown = clip[~hidden] if not hidden.all() else clip.reshape(-1, clip.shape[-1])
    weights = neighbour_weights(*clip.shape[1:3])
    filled = clip.copy()
    for frame, holes in zip(filled, hidden, strict=True):
        frame[holes] = shown.mean(axis=0) if holes.all() else _solved(frame, holes, weights)
    drawn = np.random.default_rng(seed).normal(scale=noise * float(np.ptp(clip)), size=clip.shape)
    return np.where(hidden[..., np.newaxis], filled + drawn, clip).astype(np.float32)


@lru_cache(maxsize=4)  # all clips and shares of a measurement have one frame size
def neighbour_weights(height: int, width: int) -> scipy.sparse.csr_matrix:
    """Returns the weights of each pixel's neighbours, `(H W, H W)`; a pixel at the edge has fewer. Do not change it."""
    rows, columns = (scipy.sparse.eye(side, k=1) + scipy.sparse.eye(side, k=-1) for side in (height, width))
    same_row, same_column = scipy.sparse.identity(height), scipy.sparse.identity(width)
    beside = scipy.sparse.kron(same_row, columns) + scipy.sparse.kron(rows, same_column)
    return (BESIDE * beside + CORNER * scipy.sparse.kron(rows, columns)).tocsr()


def _solved(frame: np.ndarray, holes: np.ndarray, weights) -> np.ndarray:
    """The values of the hidden pixels of a frame that has shown pixels: `(number of holes, C)`."""
    if not holes.any():
        return frame[holes]
    inside, outside = np.flatnonzero(holes), np.flatnonzero(~holes)
    rows = weights[inside]
    total = scipy.sparse.diags(np.asarray(rows.sum(axis=1)).ravel())
    known = rows[:, outside] @ frame.reshape(-1, frame.shape[-1])[outside]
    return spsolve((total - rows[:, inside]).tocsc(), known).reshape(len(inside), -1)
