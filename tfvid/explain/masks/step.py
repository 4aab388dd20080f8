"""STEP, spatio-temporal extremal perturbations: masks of a share of the clip that hold together in space and time.

    minimise over m:  -log p_c(x shown through m)  +  lambda_t mean((sort(m) - r_a)^2)  +  kappa mean((sort(n) - s_a)^2)

n, the cores, are means of m over ellipsoids of 8 frames and 11 x 11 pixels (at 112) that stand next to each other in
space and on every frame in time. The largest share a of them is drawn to 1 and the rest to 0: a mask that is on or off
over whole ellipsoids costs nothing. kappa is zero for the first steps. The code of Li et al. draws k = ceil(a V / V_e)
of the cores to 1, V the clip's volume and V_e an ellipsoid's, and adds the mean over these to the mean over the others:
`weights="published"`.
Li, Wang, Li, Huang & Sato, "Towards Visually Explaining Video Understanding Networks with Perturbation",
arXiv 2005.00375, section 3 (their smoothness loss).
"""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.masks.area_masks import area_loss, default_sigma, largest
from tfvid.explain.masks.extremal_perturbation import AREAS, OURS
from tfvid.explain.masks.extremal_perturbation_3d import ExtremalPerturbation3D


class STEP(ExtremalPerturbation3D):
    """Spatio-temporal extremal perturbations.

    Args:
      model: a Keras model, see `Explainer`.
      areas: shares of the clip, each in (0, 1).
      weights: "tfvid", or "published", as the code of Li et al.: its loss of the cores; its ellipsoids, whose half axes
        are shorter by half a voxel (352 voxels in 8 x 11 x 11, instead of 520); its blur and its margin, see
        `ExtremalPerturbation`. The weights for the class and the area are the same with both.
      core_weight: kappa.
      core_after: steps before kappa counts. A run of fewer `iterations` is `ExtremalPerturbation3D`'s.
      core_frames: length of an ellipsoid in frames, 8 as in one of their scripts; no longer than the clip.
      core_size: its height and width in pixels, and the distance from one to the next; None for as many as `sigma`'s
        default, 11 at 112.
      **options: of `ExtremalPerturbation`.

    Example:
      >>> result = STEP(model)(clips)
      >>> result.attribution.shape, result.masks.shape
      ((2, 16, 112, 112), (2, 4, 16, 112, 112))
    """

    published = OURS

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
        cores = core_means(masks, ellipsoid(shape, 1 if self.is_published else 0), width)
        cores = tf.reshape(cores, (-1, masks.shape[1], np.prod(cores.shape[2:])))
        if not self.is_published:
            return area_loss(cores, self.areas)
        volume = np.prod(masks.shape[2:])
        counts = [math.ceil(area * volume / int(np.prod(shape) * 0.5236)) for area in self.areas]
        return core_loss(cores, [min(count, cores.shape[-1]) for count in counts])


def core_loss(cores, counts: Sequence[int]):
    """The published loss of cores: the mean of (1 - c)^2 over the largest, and that of c^2 over the others, added.

    Args:
      cores: float32 `(B, A, N)` in [0, 1].
      counts: how many are drawn to 1, A of them, each from 1 to N.

    Returns:
      float32 `(B, A)`, >= 0.
    """
    r = largest(cores, counts)
    others = np.float32(cores.shape[-1] - np.array(counts))
    ones = tf.reduce_sum(r * (1 - cores) ** 2, axis=-1) / np.float32(counts)
    return ones + tf.math.divide_no_nan(tf.reduce_sum((1 - r) * cores**2, axis=-1), others)


def core_means(masks, kernel: np.ndarray, stride: int):
    """The means of masks over ellipsoids, those that lie in the clip.

    Args:
      masks: float32 `(B, A, T, H, W)`.
      kernel: an `ellipsoid`.
      stride: pixels from one to the next; in time they stand on every frame.

    Returns:
      float32 `(B, A, T', H', W')`.
    """
    volumes = tf.reshape(masks, (-1, *masks.shape[2:], 1))
    cores = tf.nn.conv3d(volumes, kernel[..., np.newaxis, np.newaxis], (1, 1, stride, stride, 1), "VALID")
    return tf.reshape(cores, (-1, masks.shape[1], *cores.shape[1:4]))


def ellipsoid(shape: tuple[int, int, int], less: int = 0) -> np.ndarray:
    """Equal weights on the voxels whose centres lie in an ellipsoid: float32 `shape`, their sum 1.

    Its half axes are ``(length - less) / 2`` voxels: with 0 it fills the box; with 1 it ends at the centres of the
    outermost voxels, as the published one.
    """
    axes = [(np.arange(length) - (length - 1) / 2) / max((length - less) / 2, 0.5) for length in shape]
    inside = sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")) <= 1
    return (inside / inside.sum()).astype(np.float32)
