"""R(2+1)D-18: a residual network whose 3-D convolutions are factorised into space and time.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018, section 3.5. A t x d x d
convolution from N to N' filters becomes a 1 x d x d convolution to M filters, batch norm, ReLU, and a t x 1 x 1
convolution to N' filters. With

    M = floor( t d^2 N N' / (d^2 N + t N') )

the two have together as many weights as the original convolution, and there is one more non-linearity.
"""

from functools import partial

import keras
from keras import layers

from tfvid.core.errors import ModelError
from tfvid.models.ends import classified, signed_clips
from tfvid.models.residual import ResidualLayers, check_stages, scaled


def R2Plus1D(
    num_classes: int,
    num_frames: int | None = 16,
    size: tuple[int | None, int | None] = (112, 112),
    *,
    blocks: tuple[int, ...] = (2, 2, 2, 2),
    temporal_strides: tuple[int, ...] = (1, 2, 2, 2),
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
    dtype=None,
    name: str = "r2plus1d",
) -> keras.Model:
    """Builds R(2+1)D-18.

    With the defaults and 400 classes, it has 31,505,325 trainable parameters, like torchvision's ``r2plus1d_18``. As in
    the published Caffe2 code and in torchvision, and different from the formula, the stem's M is 45, and a block
    computes M once, for its first convolution. The padding is TensorFlow's "same"; torchvision pads symmetrically.

    Args:
      num_classes: number of classes, K.
      num_frames: frames per clip, T; None for any.
      size: frame height and width, (H, W); None for any.
      blocks: number of residual blocks of each stage, for 1 to 4 stages of 64, 128, 256, 512 filters. The stem and each
        stage after the first halve H and W.
      temporal_strides: temporal stride of each stage, one per stage.
      width: factor on every filter count; 1 as in the paper.
      dropout: rate before the classifier, in [0, 1); the paper uses none.
      synchronized: batch norm over all replicas; set it under a `tf.distribute` strategy only.
      dtype: Keras dtype policy of the layers, e.g. "mixed_bfloat16"; None for the global one.

    Returns:
      A functional model from float32 clips `(B, T, H, W, 3)` in [0, 1] to float32 logits `(B, K)`. The last feature
      map is the output of the layer ``stage<s>_block<b>``; the classifier gets its average over time and space.

    Raises:
      ModelError: no stage, more than four stages, or not one temporal stride per stage.
    """
    check_stages("R2Plus1D", blocks)
    if len(temporal_strides) != len(blocks):
        raise ModelError(f"R2Plus1D: expected {len(blocks)} temporal_strides, one per stage, got {temporal_strides}")
    net = _Factorised(width, synchronized, dtype)
    clips, x = signed_clips(num_frames, size, dtype=dtype)
    x = net.split_conv(x, net.filters(1), (1, 2, 2), "stem.conv", middle=scaled(45, width), kernel=7)
    x = net.relu(net.norm(x, "stem.batch_norm"), "stem")
    x = net.stages(x, blocks, temporal_strides)
    x = layers.GlobalAveragePooling3D(name="pool", dtype=dtype)(x)
    return classified(clips, x, num_classes, dropout, name, dtype=dtype)


class _Factorised(ResidualLayers):
    """Convolutions over space, then over time."""

    def convolution(self, before: int, after: int):
        return partial(self.split_conv, middle=middle_filters(before, after))

    def split_conv(self, x, filters: int, strides, name: str, *, middle: int, kernel: int = 3):
        """A convolution over space to `middle` filters, batch norm, ReLU, and a convolution over time to `filters`."""
        t, h, w = strides
        x = self.conv3d(x, middle, (1, kernel, kernel), (1, h, w), f"{name}.space")
        x = self.relu(self.norm(x, f"{name}.batch_norm"), f"{name}.relu")
        return self.conv3d(x, filters, (3, 1, 1), (t, 1, 1), f"{name}.time")


def middle_filters(before: int, after: int) -> int:
    """Returns M for a 3x3x3 convolution from `before` to `after` filters: the equation above with t = d = 3."""
    return 27 * before * after // (9 * before + 3 * after)
