"""Maps that do not depend on the model. Compare the measures of a method with those of these maps."""

import numpy as np


def random_map(shape: tuple, seed: int = 0) -> np.ndarray:
    """Returns a map of uniform random numbers in [0, 1), the same for all clips of a batch.

    Args:
      shape: `(B, T, H, W)`.
      seed: of the random numbers.

    Returns:
      Float32 `(B, T, H, W)`.
    """
    return np.tile(np.random.default_rng(seed).random(shape[1:], np.float32), (shape[0], 1, 1, 1))


def centre_prior(shape: tuple) -> np.ndarray:
    """Returns a Gaussian at the centre of the clip in time and space; its standard deviation is a quarter of each side.

    Objects are mostly at the centre of the frame, and events in the middle of the clip.

    Args:
      shape: `(B, T, H, W)`.

    Returns:
      Float32 `(B, T, H, W)` in (0, 1].
    """
    t, y, x = (_bell(size) for size in shape[1:])
    return np.tile(t[:, np.newaxis, np.newaxis] * y[:, np.newaxis] * x, (shape[0], 1, 1, 1)).astype(np.float32)


def _bell(size: int) -> np.ndarray:
    """A Gaussian at the centre of `size` places, with a standard deviation of a quarter of them."""
    distance = np.arange(size) - (size - 1) / 2
    return np.exp(-0.5 * (distance / (size / 4)) ** 2)
