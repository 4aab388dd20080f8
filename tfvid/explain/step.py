"""STEP, spatio-temporal extremal perturbations: masks of a share of the clip that hold together in space and time.

    minimise over m:  -log p_c(x shown through m)  +  lambda_t mean((sort(m) - r_a)^2)  +  kappa mean((sort(n) - s_a)^2)

n, the cores, are means of m over ellipsoids of 8 frames and 11 x 11 pixels (at 112) that stand next to each other in
space and on every frame in time. The largest share a of them is drawn to 1 and the rest to 0: a mask that is on or off
over whole ellipsoids costs nothing. kappa is zero for the first steps.
Li, Wang, Li, Huang & Sato, "Towards Visually Explaining Video Understanding Networks with Perturbation",
arXiv 2005.00375, section 3 (their smoothness loss).
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfvid.errors import TfvidError
from tfvid.explain.area_masks import area_loss, default_sigma
from tfvid.explain.extremal_perturbation import AREAS
from tfvid.explain.extremal_perturbation_3d import ExtremalPerturbation3D


class STEP(ExtremalPerturbation3D):
    """Spatio-temporal extremal perturbations.

    Args:
      model: a Keras model, see `Explainer`.
      areas: shares of the clip, each in (0, 1).
      core_weight: kappa.
      core_after: steps before kappa counts. A run of fewer `iterations` is `ExtremalPerturbation3D`'s.
      core_frames: length of an ellipsoid in frames; no longer than the clip.
      core_size: its height and width in pixels, and the distance from one to the next; None for as many as `sigma`'s
        default, 11 at 112.
      **options: of `ExtremalPerturbation`.

    Example:
      >>> result = STEP(model)(clips)
      >>> result.attribution.shape, result.masks.shape
      ((2, 16, 112, 112), (2, 4, 16, 112, 112))
    """

    def __init__(
        self,
        model,
        areas: Sequence[float] = AREAS,
        *,
        core_weight: float = 300.0,
        core_after: int = 100,
        core_frames: int = 8,
        core_size: int | None = None,
        **options,
    ):
        super().__init__(model, areas, **options)
        if core_frames < 1 or core_size is not None and core_size < 1 or core_after < 0:
            raise TfvidError(
                "expected core_frames and core_size of 1 or more and core_after >= 0, got "
                f"{core_frames}, {core_size}, {core_after}"
            )
        self.core_weight = core_weight
        self.core_after = core_after
        self.core_frames = core_frames
        self.core_size = core_size

    def _regularizer(self, masks, step):
        core_weight = tf.where(step < self.core_after, 0.0, self.core_weight)
        return super()._regularizer(masks, step) + core_weight * self._core_loss(masks)

    def _core_loss(self, masks):
        num_frames, *size = masks.shape[2:]
        width = self.core_size or default_sigma(tuple(size))
        shape = tuple(map(min, (self.core_frames, width, width), masks.shape[2:]))
        cores = core_means(masks, shape, width)
        return area_loss(tf.reshape(cores, (-1, masks.shape[1], np.prod(cores.shape[2:]))), self.areas)


def core_means(masks, shape: tuple[int, int, int], stride: int):
    """The means of masks over ellipsoids, those that lie in the clip.

    Args:
      masks: float32 `(B, A, T, H, W)`.
      shape: of an ellipsoid's box: frames, height and width.
      stride: pixels from one to the next; in time they stand on every frame.

    Returns:
      float32 `(B, A, T', H', W')`.
    """
    kernel = ellipsoid(shape)[..., np.newaxis, np.newaxis]
    volumes = tf.reshape(masks, (-1, *masks.shape[2:], 1))
    cores = tf.nn.conv3d(volumes, kernel, (1, 1, stride, stride, 1), "VALID")
    return tf.reshape(cores, (-1, masks.shape[1], *cores.shape[1:4]))


def ellipsoid(shape: tuple[int, int, int]) -> np.ndarray:
    """Equal weights on the voxels whose centres lie in the ellipsoid that fills a box: float32 `shape`, their sum 1."""
    axes = [(np.arange(length) - (length - 1) / 2) / (length / 2) for length in shape]
    inside = sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")) <= 1
    return (inside / inside.sum()).astype(np.float32)
