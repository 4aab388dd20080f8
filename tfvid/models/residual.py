"""The basic block of a residual network, He et al., "Deep Residual Learning", CVPR 2016, whatever its convolutions are.

    y = ReLU( BN(conv(ReLU(BN(conv(x))))) + shortcut(x) )

The shortcut is x itself, or a 1x1x1 convolution and batch norm where the block strides or changes the filters.
"""

from keras import layers

FILTERS = (64, 128, 256, 512)  # of the four stages of ResNet-18


def basic_block(x, filters: int, strides: tuple, conv, norm, name: str, **options):
    """One block.

    Args:
      x: symbolic features `(B, T, H, W, K)`.
      filters: filters of both convolutions.
      strides: of the first convolution and of the shortcut, (time, height, width).
      conv: a function (features, filters, strides, name) -> features, a 3x3 convolution of some kind, without bias.
      norm: a function (features, name) -> features, batch norm.
      name: of the block and of the layer that returns its features; its other layers are called ``<name>.<part>``.
      **options: of the Keras layers made here.

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
    """A filter count times `width`, 4 at least."""
    return max(4, int(filters * width + 0.5))
