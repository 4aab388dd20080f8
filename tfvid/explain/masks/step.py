"""STEP, spatio-temporal extremal perturbations: masks of a share of the clip that are coherent in space and time.

    minimise over m:  -log p_c(x shown through m)  +  lambda_t mean((sort(m) - r_a)^2)  +  kappa mean((sort(n) - s_a)^2)

n, the cores, are means of m over ellipsoids of 8 frames and 11 x 11 pixels (at 112). In space the ellipsoids lie side
by side; in time there is one at every frame. The third term pulls the largest share a of the cores to 1 and the others
to 0, so it is zero for a mask that is constant over whole ellipsoids. kappa is zero in the first steps.

The code of Li et al. pulls k = ceil(a V / V_e) cores to 1, with the volumes V of the clip and V_e of an ellipsoid, and
adds the mean over these cores to the mean over the others: ``weights="published"``.

Li, Wang, Li, Huang & Sato, "Towards Visually Explaining Video Understanding Networks with Perturbation",
arXiv 2005.00375, section 3 (their smoothness loss).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.masks.area_masks import area_loss, default_sigma, largest
from tfvid.explain.masks.extremal_perturbation import AREAS, OURS
from tfvid.explain.masks.extremal_perturbation_3d import ExtremalPerturbation3D


@dataclass(frozen=True)
class CoreOptions:
    """The cores of `STEP`.

    Attributes:
      weight: kappa.
      after: number of steps before kappa counts, >= 0.
      frames: length of an ellipsoid in frames, >= 1.
      size: its height and width in pixels, >= 1; None for the default sigma of the masks.

    Raises:
      TfvidError: a value outside its range.
    """

    weight: float
    after: int
    frames: int
    size: int | None

    def __post_init__(self):
        if self.frames < 1 or self.size is not None and self.size < 1 or self.after < 0:
            raise TfvidError(
                "expected core_frames and core_size of 1 or more and core_after >= 0, got "
                f"{self.frames}, {self.size}, {self.after}"
            )


class STEP(ExtremalPerturbation3D):
    """Spatio-temporal extremal perturbations. The result is that of `ExtremalPerturbation`.

    Args:
      model: a Keras model from float clips `(B, T, H, W, C)` to class scores `(B, K)`. It is left unchanged.
      areas: shares of the clip, each in (0, 1). All are optimised side by side: A perturbed clips per clip.
      core_weight: kappa.
      core_after: number of steps before kappa counts, >= 0. With fewer `iterations` the method is
        `ExtremalPerturbation3D`.
      core_frames: length of an ellipsoid in frames, >= 1; 8 as in one of their scripts. At most the clip's length.
      core_size: its height and width in pixels, and the distance to the next one, >= 1; None for the default of
        `sigma`, 11 at 112.
      weights: "tfvid", or "published", as in the code of Li et al.: its loss of the cores; its ellipsoids, whose
        half-axes are half a voxel shorter (352 voxels in 8 x 11 x 11, instead of 520); its blur, with zeros outside the
        frame; and a margin around the frame that counts as area. The weights of the class and the area are the same
        with both.
      perturbation: what replaces hidden pixels: "blur", the blurred clip, or "fade", black.
      iterations: number of steps, >= 0; about 1000 are published.
      learning_rate: of gradient descent, > 0.
      momentum: in [0, 1).
      dampening: in [0, 1): ``v = momentum v + (1 - dampening) g``, and ``v = g`` in the first step, as in PyTorch.
      class_weight: w, the weight of the class's term; None for that of `weights`.
      area_weight: lambda_0, the weight of the area's term in the first step; None for that of `weights`.
      area_growth: lambda_t = ``area_weight area_growth^t``; None for that of `weights`.
      step: pixels between grid points, >= 1; None for 7, less below 112 pixels: `area_masks.default_step`.
      sigma: width of the kernel in pixels, > 0; None for 11 at 112, 23 at 224, and in proportion:
        `area_masks.default_sigma`.
      coldness: of the smooth maximum, >= 0.
      num_levels: of the blur pyramid, >= 2.
      max_blur: its largest standard deviation in pixels, > 0.
      init: the initial value of the grid, in [0, 1]; 1 shows everything.
      progress: whether to show a progress bar.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out.
      input_range: the values (low, high) that the model expects for black and white; clips in [0, 1] are scaled to
        them. None: clips are passed unscaled. "auto": the declared or implied range, see `Explainer`.
      batch_size: number of clips explained at a time, >= 1; the model sees A times as many.

    Raises:
      TfvidError: an option outside its range.

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
        self.cores = CoreOptions(core_weight, core_after, core_frames, core_size)

    def regularizer(self, masks, step):
        core_weight = tf.where(step < self.cores.after, 0.0, self.cores.weight)
        return super().regularizer(masks, step) + core_weight * self.core_penalty(masks)

    def core_penalty(self, masks):
        num_frames, *size = masks.shape[2:]
        width = self.cores.size or default_sigma(tuple(size))
        shape = tuple(map(min, (self.cores.frames, width, width), masks.shape[2:]))
        cores = core_means(masks, ellipsoid(shape, 1 if self.is_published else 0), width)
        cores = tf.reshape(cores, (-1, masks.shape[1], np.prod(cores.shape[2:])))
        if not self.is_published:
            return area_loss(cores, self.areas)
        volume = np.prod(masks.shape[2:])
        counts = [math.ceil(area * volume / int(np.prod(shape) * 0.5236)) for area in self.areas]
        return core_loss(cores, [min(count, cores.shape[-1]) for count in counts])


def core_loss(cores, counts: Sequence[int]):
    """Returns the published loss of cores: the mean of (1 - c)^2 over the largest plus the mean of c^2 over the others.

    Args:
      cores: float32 `(B, A, N)` in [0, 1].
      counts: the number of cores pulled to 1, per area, each from 1 to N.

    Returns:
      float32 `(B, A)`, >= 0.
    """
    r = largest(cores, counts)
    others = np.float32(cores.shape[-1] - np.array(counts))
    ones = tf.reduce_sum(r * (1 - cores) ** 2, axis=-1) / np.array(counts, np.float32)
    return ones + tf.math.divide_no_nan(tf.reduce_sum((1 - r) * cores**2, axis=-1), others)


def core_means(masks, kernel: np.ndarray, stride: int):
    """Returns the means of masks over the ellipsoids that lie in the clip.

    Args:
      masks: float32 `(B, A, T, H, W)`.
      kernel: an `ellipsoid`.
      stride: pixels from one ellipsoid to the next; in time there is one at every frame.

    Returns:
      float32 `(B, A, T', H', W')`.
    """
    volumes = tf.reshape(masks, (-1, *masks.shape[2:], 1))
    cores = tf.nn.conv3d(volumes, kernel[..., np.newaxis, np.newaxis], (1, 1, stride, stride, 1), "VALID")
    return tf.reshape(cores, (-1, masks.shape[1], *cores.shape[1:4]))


def ellipsoid(shape: tuple[int, int, int], less: int = 0) -> np.ndarray:
    """Returns equal weights for the voxels whose centres lie in an ellipsoid: float32 `shape`, with sum 1.

    Args:
      shape: (frames, height, width) of the box.
      less: the half-axes are ``(length - less) / 2`` voxels. 0: the ellipsoid fills the box. 1: it ends at the centres
        of the outermost voxels, as in the published code.
    """
    axes = [(np.arange(length) - (length - 1) / 2) / max((length - less) / 2, 0.5) for length in shape]
    inside = sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")) <= 1
    return (inside / inside.sum()).astype(np.float32)
