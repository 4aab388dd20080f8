"""Residual networks with any kind of convolution. He et al., "Deep Residual Learning", CVPR 2016.

A basic block is

    y = ReLU( BN(conv(ReLU(BN(conv(x))))) + shortcut(x) )

The shortcut is x itself, or a 1x1x1 convolution with batch norm if the block has strides or another number of filters.
"""

from dataclasses import dataclass
from typing import Any

from keras import layers

from tfvid.core.errors import ModelError

FILTERS = (64, 128, 256, 512)  # of the four stages of ResNet-18


def check_stages(model: str, blocks: tuple[int, ...]) -> None:
    """Raises ModelError unless `blocks` has one number of blocks for each of 1 to 4 stages."""
    if not 1 <= len(blocks) <= len(FILTERS) or min(blocks) < 1:
        raise ModelError(f"{model}: expected blocks for 1 to {len(FILTERS)} stages, 1 or more each, got {blocks}")


@dataclass(frozen=True)
class ResidualLayers:
    """The layers of a residual network. A subclass defines the convolutions of its blocks.

    Args:
      width: factor on the filter counts.
      synchronized: batch norm over all replicas.
      dtype: Keras dtype policy of the layers; None for the global one.
    """

    width: float
    synchronized: bool
    dtype: Any

    def convolution(self, before: int, after: int):
        """Returns the 3x3 convolution of a block that gets `before` filters and returns `after`.

        It is a function (features, filters, strides, name) -> features, without bias.
        """
        raise NotImplementedError

    def conv3d(self, x, filters: int, kernel, strides, name: str, padding: str = "same"):
        return layers.Conv3D(filters, kernel, strides, padding, use_bias=False, name=name, dtype=self.dtype)(x)

    def norm(self, x, name: str):
        return layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, synchronized=self.synchronized, name=name, dtype=self.dtype
        )(x)

    def relu(self, x, name: str):
        return layers.ReLU(name=name, dtype=self.dtype)(x)

    def filters(self, stage: int) -> int:
        """Returns the filters of a stage, 1 to 4."""
        return scaled(FILTERS[stage - 1], self.width)

    def stages(self, x, blocks: tuple[int, ...], temporal_strides: tuple[int, ...]):
        """Applies all stages to the stem's output; each stage after the first halves H and W.

        Args:
          x: symbolic features `(B, T, H, W, K)`.
          blocks: number of blocks of each stage.
          temporal_strides: of each stage's first block.
        """
        for stage, (number, stride) in enumerate(zip(blocks, temporal_strides, strict=True), start=1):
            side = 1 if stage == 1 else 2
            for block in range(1, number + 1):
                strides = (stride, side, side) if block == 1 else (1, 1, 1)
                x = self.basic_block(x, self.filters(stage), strides, f"stage{stage}_block{block}")
        return x

    def basic_block(self, x, filters: int, strides: tuple[int, int, int], name: str):
        """Applies one block.

        Args:
          x: symbolic features `(B, T, H, W, K)`.
          filters: filters of both convolutions.
          strides: of the first convolution and of the shortcut, (time, height, width).
          name: of the block and of its last layer; the other layers are named ``<name>.<part>``.

        Returns:
          Symbolic features `(B, T', H', W', filters)`, >= 0.
        """
        conv, shortcut = self.convolution(x.shape[-1], filters), x
        if x.shape[-1] != filters or strides != (1, 1, 1):
            shortcut = self.conv3d(x, filters, 1, strides, f"{name}.shortcut.conv", "valid")
            shortcut = self.norm(shortcut, f"{name}.shortcut.batch_norm")
        x = self.norm(conv(x, filters, strides, f"{name}.conv1"), f"{name}.batch_norm1")
        x = self.relu(x, f"{name}.relu1")
        x = self.norm(conv(x, filters, (1, 1, 1), f"{name}.conv2"), f"{name}.batch_norm2")
        return self.relu(layers.Add(name=f"{name}.add", dtype=self.dtype)([x, shortcut]), name)


def scaled(filters: int, width: float) -> int:
    """Returns `filters` times `width`, rounded, at least 4."""
    return max(4, int(filters * width + 0.5))
