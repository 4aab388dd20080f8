"""R(2+1)D-18: a residual network whose 3-D convolutions are factorised into space and time.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018, section 3.5. A t x d x d
convolution from N to N' filters becomes a 1 x d x d convolution to M filters, batch norm, ReLU, and a t x 1 x 1
convolution to N' filters. With

    M = floor( t d^2 N N' / (d^2 N + t N') )

the two have together as many weights as the original convolution, and there is one more non-linearity.
"""

import keras
from keras import layers

from tfvid.core.errors import ModelError
from tfvid.models.residual import FILTERS, basic_block, scaled


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
      dtype: Keras dtype policy of the layers, e.g. "mixed_bfloat16"; None for the global one. Logits are
        always float32.

    Returns:
      A functional model from float32 clips `(B, T, H, W, 3)` in [0, 1] to logits `(B, K)`. The last feature map is the
      output of the layer ``stage<s>_block<b>``; its average over time and space is the input of the classifier.

    Raises:
      ModelError: no stage, more than four stages, or not one temporal stride per stage.
    """
    if not 1 <= len(blocks) <= len(FILTERS) or min(blocks) < 1:
        raise ModelError(f"R2Plus1D: expected blocks for 1 to {len(FILTERS)} stages, 1 or more each, got {blocks}")
    if len(temporal_strides) != len(blocks):
        raise ModelError(f"R2Plus1D: expected {len(blocks)} temporal_strides, one per stage, got {temporal_strides}")
    options = {"dtype": dtype}

    def norm(x, name):
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=synchronized, name=name, **options)(x)

    def split_conv(x, filters, middle, kernel, strides, name):
        """A convolution over space to `middle` filters, batch norm, ReLU, and a convolution over time to `filters`."""
        t, h, w = strides
        x = layers.Conv3D(
            middle, (1, kernel, kernel), (1, h, w), "same", use_bias=False, name=f"{name}.space", **options
        )(x)
        x = layers.ReLU(name=f"{name}.relu", **options)(norm(x, f"{name}.batch_norm"))
        return layers.Conv3D(filters, (3, 1, 1), (t, 1, 1), "same", use_bias=False, name=f"{name}.time", **options)(x)

    clips = keras.Input((num_frames, *size, 3), name="clips")
    x = layers.Rescaling(2.0, -1.0, name="to_signed", **options)(clips)
    x = split_conv(x, scaled(FILTERS[0], width), scaled(45, width), 7, (1, 2, 2), "stem.conv")
    x = layers.ReLU(name="stem", **options)(norm(x, "stem.batch_norm"))
    for stage, (number, stride) in enumerate(zip(blocks, temporal_strides, strict=True), start=1):
        for block in range(1, number + 1):
            middle = middle_filters(x.shape[-1], scaled(FILTERS[stage - 1], width))

            def conv(x, filters, strides, name, middle=middle):
                return split_conv(x, filters, middle, 3, strides, name)

            side = 1 if stage == 1 else 2
            strides = (stride, side, side) if block == 1 else (1, 1, 1)
            filters = scaled(FILTERS[stage - 1], width)
            x = basic_block(x, filters, strides, conv, norm, f"stage{stage}_block{block}", **options)
    x = layers.GlobalAveragePooling3D(name="pool", **options)(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout", **options)(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(clips, logits, name=name)


def middle_filters(before: int, after: int) -> int:
    """Returns M for a 3x3x3 convolution from `before` to `after` filters: the equation above with t = d = 3."""
    return 27 * before * after // (9 * before + 3 * after)
