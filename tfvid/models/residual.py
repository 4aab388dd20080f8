"""The basic block of a residual network with any kind of convolution. He et al., "Deep Residual Learning", CVPR 2016.

    y = ReLU( BN(conv(ReLU(BN(conv(x))))) + shortcut(x) )

The shortcut is x itself, or a 1x1x1 convolution with batch norm if the block has strides or another number of filters.
"""

from keras import layers

FILTERS = (64, 128, 256, 512)  # of the four stages of ResNet-18


def basic_block(x, filters: int, strides: tuple, conv, norm, name: str, **options):
    """Applies one block.

    Args:
      x: symbolic features `(B, T, H, W, K)`.
      filters: filters of both convolutions.
      strides: of the first convolution and of the shortcut, (time, height, width).
      conv: a function (features, filters, strides, name) -> features: a 3x3 convolution without bias, over space or
        over space and time.
      norm: a function (features, name) -> features: batch norm.
      name: of the block and of its last layer; the other layers are named ``<name>.<part>``.
      **options: keyword arguments of the Keras layers created here.

    Returns:
      Symbolic features `(B, T', H', W', filters)`, >= 0.
    """
    shortcut = x
    if x.shape[-1] != filters or tuple(strides) != (1, 1, 1):
        shortcut = layers.Conv3D(filters, 1, strides, use_bias=False, name=f"{name}.shortcut.conv", **options)(x)
        shortcut = norm(shortcut, f"{name}.shortcut.batch_norm")
    x = norm(conv(x, filters, strides, f"{name}.conv1"), f"{name}.batch_norm1")
    x = layers.ReLU(name=f"{name}.relu1", **options)(x)
    x = norm(conv(x, filters, (1, 1, 1), f"{name}.conv2"), f"{name}.batch_norm2")
    x = layers.Add(name=f"{name}.add", **options)([x, shortcut])
    return layers.ReLU(name=name, **options)(x)


def scaled(filters: int, width: float) -> int:
    """Returns `filters` times `width`, rounded, at least 4."""
    return max(4, int(filters * width + 0.5))
