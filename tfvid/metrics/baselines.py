"""Maps that know nothing of the model: what every measure of a method has to be read beside."""

import numpy as np


def random_map(shape: tuple, seed: int = 0) -> np.ndarray:
    """Each voxel drawn evenly from [0, 1), the same for every clip, so that no clip's depends on its batch mates.

    Args:
      shape: `(B, T, H, W)`.
      seed: of the draw.

    Returns:
      Float32 `(B, T, H, W)`.
    """
    return np.tile(np.random.default_rng(seed).random(shape[1:], np.float32), (shape[0], 1, 1, 1))


def centre_prior(shape: tuple) -> np.ndarray:
    """The middle of the clip, in time and space: a Gaussian, its deviation a quarter of each side.

    What is filmed is mostly in the middle of the frame, and what happens in the middle of the clip.

    Args:
      shape: `(B, T, H, W)`.

    Returns:
      Float32 `(B, T, H, W)` in (0, 1].
    """
    t, y, x = (_bell(size) for size in shape[1:])
    return np.tile(t[:, np.newaxis, np.newaxis] * y[:, np.newaxis] * x, (shape[0], 1, 1, 1)).astype(np.float32)


def _bell(size: int) -> np.ndarray:
    """A Gaussian in the middle of `size` places, with a deviation of a quarter of them."""
    distance = np.arange(size) - (size - 1) / 2
    return np.exp(-0.5 * (distance / (size / 4)) ** 2)
