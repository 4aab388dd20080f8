"""CNN-LSTM: a residual network encodes each frame, and an LSTM processes the sequence of encoded frames.

Donahue et al., "Long-term Recurrent Convolutional Networks", CVPR 2015 (LRCN), with the frame encoder ResNet-18 of He
et al., "Deep Residual Learning", CVPR 2016. The 2-D convolutions are 1 x d x d convolutions over the clip: the
computation is the same, and every feature map keeps its time axis. The classifier uses the last state of the LSTM.
"""

import keras
from keras import layers

from tfvid.core.errors import ModelError, check_choice
from tfvid.models.ends import classified, signed_clips
from tfvid.models.residual import ResidualLayers, check_stages


def CNNLSTM(
    num_classes: int,
    num_frames: int | None = 16,
    size: tuple[int | None, int | None] = (224, 224),
    *,
    blocks: tuple[int, ...] = (2, 2, 2, 2),
    width: float = 1.0,
    pooling: str = "average",
    units: int = 256,
    dropout: float = 0.0,
    synchronized: bool = False,
    dtype=None,
    name: str = "cnn_lstm",
) -> keras.Model:
    """Builds the CNN-LSTM.

    With the defaults, the frame encoder has 11,176,512 trainable parameters, the number of ResNet-18 without its
    classifier, and the LSTM has 787,456.

    Args:
      num_classes: number of classes, K.
      num_frames: frames per clip, T; None for any.
      size: frame height and width, (H, W); None for any, with average pooling only.
      blocks: number of residual blocks of each stage, for 1 to 4 stages of 64, 128, 256, 512 filters. The stem divides
        H and W by four, and each stage after the first divides them by two.
      width: factor on every filter count of the encoder; 1 gives ResNet-18.
      pooling: how a frame's features become the input of the LSTM: "average" over space, as in ResNet; or "flatten",
        which keeps all features and their positions, like the fully connected layers of LRCN.
      units: of the LSTM; LRCN uses 256 for frames.
      dropout: rate before the classifier, in [0, 1).
      synchronized: batch norm over all replicas; set it under a `tf.distribute` strategy only.
      dtype: Keras dtype policy of the layers, e.g. "mixed_bfloat16"; None for the global one.

    Returns:
      A functional model from float32 clips `(B, T, H, W, 3)` in [0, 1] to float32 logits `(B, K)`. The last spatial
      feature map is the output of the layer ``stage<s>_block<b>``, `(B, T, H', W', F)`.

    Raises:
      ModelError: no stage, more than four stages, or pooling "flatten" with frames of unknown size.
    """
    check_stages("CNNLSTM", blocks)
    check_choice("pooling", pooling, ("average", "flatten"))
    if pooling == "flatten" and None in size:
        raise ModelError(f"CNNLSTM: pooling 'flatten' takes frames of one size, got {tuple(size)}; or 'average'")
    net = _PerFrame(width, synchronized, dtype)
    clips, x = signed_clips(num_frames, size, dtype=dtype)
    x = net.norm(net.conv3d(x, net.filters(1), (1, 7, 7), (1, 2, 2), "stem.conv"), "stem.batch_norm")
    x = net.relu(x, "stem")
    x = layers.MaxPooling3D((1, 3, 3), (1, 2, 2), "same", name="stem.pool", dtype=dtype)(x)
    x = net.stages(x, blocks, (1,) * len(blocks))
    pool = layers.GlobalAveragePooling2D if pooling == "average" else layers.Flatten
    x = layers.TimeDistributed(pool(dtype=dtype), name="features", dtype=dtype)(x)
    x = layers.LSTM(units, name="lstm", dtype=dtype)(x)
    return classified(clips, x, num_classes, dropout, name, dtype=dtype)


class _PerFrame(ResidualLayers):
    """Convolutions over space."""

    def convolution(self, before: int, after: int):
        return self.conv

    def conv(self, x, filters: int, strides, name: str):
        return self.conv3d(x, filters, (1, 3, 3), strides, name)
