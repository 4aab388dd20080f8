"""Extremal perturbations of the clip's volume: the mask's area is a share of all frames together.

    minimise over m:  -log p_c(x shown through m)  +  lambda_t mean((sort(m) - r_a)^2),     m sorted over (T, H, W)

The mask may show much of one frame and nothing of another: it says when, besides where.
Li, Wang, Li, Huang & Sato, "Towards Visually Explaining Video Understanding Networks with Perturbation",
arXiv 2005.00375, section 3; after Fong, Patrick & Vedaldi, ICCV 2019.
"""

import numpy as np
import tensorflow as tf

from tfvid.explain.masks.area_masks import area_loss
from tfvid.explain.masks.extremal_perturbation import ExtremalPerturbation


class ExtremalPerturbation3D(ExtremalPerturbation):
    """Extremal perturbations with areas of the whole clip; options and result as those of `ExtremalPerturbation`.

    Example:
      >>> result = ExtremalPerturbation3D(model, areas=(0.1,))(clips)
      >>> result.masks.mean(axis=(1, 3, 4)).round(1)[0]  # the share shown of each frame
      array([0. , 0. , 0. , 0.2, 0.4, 0.4, 0.2, 0. ], dtype=float32)
    """

    def _area_loss(self, masks):
        return area_loss(tf.reshape(masks, (-1, masks.shape[1], np.prod(masks.shape[2:]))), self.areas)
