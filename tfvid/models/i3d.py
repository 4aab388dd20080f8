"""I3D: Inception-v1 inflated to three dimensions.

Carreira & Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017, with the temporal strides of Mänttäri et
al., ACCV 2020, section 4.2: the first two temporal strides are 1 instead of 2, so that ``Mixed_5c``, the layer that
Grad-CAM explains, has T/2 time steps. The layers have the published endpoint names, so that weights map by name. In
these names ``.`` replaces ``/``, which Keras 3 does not allow.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from tfvid.core.errors import ModelError
from tfvid.models.ends import changes, signed_clips
from tfvid.models.residual import scaled

# Filters of each Inception module: branch 0 (1x1), branch 1 (1x1, 3x3), branch 2 (1x1, 3x3), branch 3 (pool, 1x1).
MODULES = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def I3D(
    num_classes: int,
    num_frames: int | None = 16,
    size: tuple[int | None, int | None] = (224, 224),
    *,
    dropout: float = 0.5,
    width: float = 1.0,
    depth: int = 9,
    temporal_strides: tuple[int, int, int] = (1, 1, 2),
    differences: bool = False,
    synchronized: bool = False,
    dtype=None,
    name: str = "i3d",
) -> keras.Model:
    """Builds I3D; with the defaults and 174 classes, it has 12,465,614 trainable parameters.

    Args:
      num_classes: number of classes, K.
      num_frames: frames per clip, T; None for any.
      size: frame height and width, (H, W); None for any.
      dropout: rate before the classifier, in [0, 1).
      width: factor on every filter count; 1 as in the paper.
      depth: number of Inception modules, 1 to 9. Without the last modules, the pooling layers before them are left
        out, too, so that the last feature map is larger: 9 gives H/32, 7 gives H/16, 2 gives H/8.
      temporal_strides: temporal strides of ``Conv3d_1a_7x7``, ``MaxPool3d_4a_3x3`` and ``MaxPool3d_5a_2x2``: (1, 1, 2)
        as in Mänttäri et al., or (2, 2, 2) as in Carreira & Zisserman.
      differences: the network sees the change from each frame to the next instead of the frames, see `changes`.
      synchronized: batch norm over all replicas; set it under a `tf.distribute` strategy only.
      dtype: Keras dtype policy of the layers, e.g. "mixed_bfloat16"; None for the global one.

    Returns:
      A functional model from float32 clips `(B, T, H, W, 3)` in [0, 1] to float32 logits `(B, K)`.

    Raises:
      ModelError: `depth` is out of range.
    """
    if not 1 <= depth <= len(MODULES):
        raise ModelError(f"I3D depth must be 1 to {len(MODULES)} Inception modules, got {depth}")
    net = _InceptionLayers(width, synchronized, dtype)
    first, fourth, fifth = temporal_strides
    pools = {  # before some modules: name, window and strides
        "Mixed_3b": ("MaxPool3d_3a_3x3", (1, 3, 3), (1, 2, 2)),
        "Mixed_4b": ("MaxPool3d_4a_3x3", 3, (fourth, 2, 2)),
        "Mixed_5b": ("MaxPool3d_5a_2x2", (fifth, 2, 2), (fifth, 2, 2)),
    }
    clips, x = signed_clips(num_frames, size, dtype=dtype)
    x = changes(x, dtype=dtype) if differences else x
    x = net.unit(x, 64, 7, "Conv3d_1a_7x7", (first, 2, 2))
    x = net.pool(x, "MaxPool3d_2a_3x3", (1, 3, 3), (1, 2, 2))
    x = net.unit(x, 64, 1, "Conv3d_2b_1x1")
    x = net.unit(x, 192, 3, "Conv3d_2c_3x3")
    for module in list(MODULES)[:depth]:
        if module in pools:
            x = net.pool(x, *pools[module])
        x = net.inception(x, module)
    x = layers.GlobalAveragePooling3D(name="Logits.AvgPool3d", dtype=dtype)(x)
    x = layers.Dropout(dropout, name="Logits.Dropout", dtype=dtype)(x)
    logits = layers.Dense(num_classes, dtype="float32", name="Logits.Conv3d_0c_1x1")(x)
    return keras.Model(clips, logits, name=name)


@dataclass(frozen=True)
class _InceptionLayers:
    """The layers of I3D, with the options that all of them have."""

    width: float
    synchronized: bool
    dtype: Any

    def unit(self, x, filters: int, kernel: int, name: str, strides=1):
        """Convolution without bias, batch norm, ReLU (``Unit3D`` of the published code)."""
        filters, options = scaled(filters, self.width), {"dtype": self.dtype}
        x = layers.Conv3D(filters, kernel, strides, "same", use_bias=False, name=f"{name}.conv_3d", **options)(x)
        options["synchronized"] = self.synchronized
        x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}.batch_norm", **options)(x)
        return layers.ReLU(name=name, dtype=self.dtype)(x)

    def pool(self, x, name: str, window, strides):
        return layers.MaxPooling3D(window, strides, "same", name=name, dtype=self.dtype)(x)

    def inception(self, x, name: str):
        """An Inception module: four branches, joined by their filters."""
        b0, b1a, b1b, b2a, b2b, b3 = MODULES[name]
        unit, branch = self.unit, f"{name}.Branch_"
        branches = [
            unit(x, b0, 1, f"{branch}0.Conv3d_0a_1x1"),
            unit(unit(x, b1a, 1, f"{branch}1.Conv3d_0a_1x1"), b1b, 3, f"{branch}1.Conv3d_0b_3x3"),
            unit(unit(x, b2a, 1, f"{branch}2.Conv3d_0a_1x1"), b2b, 3, f"{branch}2.Conv3d_0b_3x3"),
            unit(self.pool(x, f"{branch}3.MaxPool3d_0a_3x3", 3, 1), b3, 1, f"{branch}3.Conv3d_0b_1x1"),
        ]
        return layers.Concatenate(name=name, dtype=self.dtype)(branches)
