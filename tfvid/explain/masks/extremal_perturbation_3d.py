"""Extremal perturbations of the clip's volume: the area is a share of all frames together.

    minimise over m:  -log p_c(x shown through m)  +  lambda_t mean((sort(m) - r_a)^2),     m sorted over (T, H, W)

The mask may show much of one frame and nothing of another, so it explains when, not only where.

Li, Wang, Li, Huang & Sato, "Towards Visually Explaining Video Understanding Networks with Perturbation",
arXiv 2005.00375, section 3; after Fong, Patrick & Vedaldi, ICCV 2019.
"""

import numpy as np
import tensorflow as tf

from tfvid.explain.masks.area_masks import area_loss
from tfvid.explain.masks.extremal_perturbation import ExtremalPerturbation


class ExtremalPerturbation3D(ExtremalPerturbation):
    """Extremal perturbations whose areas are shares of the whole clip. The result is that of `ExtremalPerturbation`.

    Args:
      model: a Keras model from float clips `(B, T, H, W, C)` to class scores `(B, K)`. It is left unchanged.
      areas: shares of the clip, each in (0, 1). All are optimised side by side: A perturbed clips per clip.
      weights: "tfvid", which finds a planted region better in short runs (docs/methods.md), or "published", the weights
        of the code of Li et al. for this method: 100 for the class and 300 for the area. "published" also blurs as
        TorchRay does, with zeros outside the frame, and counts a margin around the frame as area.
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
      >>> result = ExtremalPerturbation3D(model, areas=(0.1,))(clips)
      >>> result.masks.mean(axis=(1, 3, 4)).round(1)[0]  # the share shown of each frame
      array([0. , 0. , 0. , 0.2, 0.4, 0.4, 0.2, 0. ], dtype=float32)
    """

    def area_penalty(self, masks):
        return area_loss(tf.reshape(masks, (-1, masks.shape[1], np.prod(masks.shape[2:]))), self.areas)
