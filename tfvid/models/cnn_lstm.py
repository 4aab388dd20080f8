"""CNN-LSTM: a residual network encodes each frame, and an LSTM processes the sequence of encoded frames.

Donahue et al., "Long-term Recurrent Convolutional Networks", CVPR 2015 (LRCN), with the frame encoder ResNet-18 of He
et al., "Deep Residual Learning", CVPR 2016. The 2-D convolutions are 1 x d x d convolutions over the clip: the
computation is the same, and every feature map keeps its time axis. The classifier uses the last state of the LSTM.
"""

import keras
from keras import layers

from tfvid.core.errors import ModelError, check_choice
from tfvid.models.residual import FILTERS, basic_block, scaled


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
      dtype: Keras dtype policy of the layers, e.g. "mixed_bfloat16"; None for the global one. Logits are
        always float32.

    Returns:
      A functional model from float32 clips `(B, T, H, W, 3)` in [0, 1] to logits `(B, K)`. The last spatial feature
      map is the output of the layer ``stage<s>_block<b>``, `(B, T, H', W', F)`.

    Raises:
      ModelError: no stage, more than four stages, or pooling "flatten" with frames of unknown size.
    """
    if not 1 <= len(blocks) <= len(FILTERS) or min(blocks) < 1:
        raise ModelError(f"CNNLSTM: expected blocks for 1 to {len(FILTERS)} stages, 1 or more each, got {blocks}")
    check_choice("pooling", pooling, ("average", "flatten"))
    if pooling == "flatten" and None in size:
        raise ModelError(f"CNNLSTM: pooling 'flatten' takes frames of one size, got {tuple(size)}; or 'average'")
    options = {"dtype": dtype}

    def norm(x, name):
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=synchronized, name=name, **options)(x)

    def conv(x, filters, strides, name, kernel=3):
        return layers.Conv3D(filters, (1, kernel, kernel), strides, "same", use_bias=False, name=name, **options)(x)

    clips = keras.Input((num_frames, *size, 3), name="clips")
    x = layers.Rescaling(2.0, -1.0, name="to_signed", **options)(clips)
    x = norm(conv(x, scaled(FILTERS[0], width), (1, 2, 2), "stem.conv", kernel=7), "stem.batch_norm")
    x = layers.ReLU(name="stem", **options)(x)
    x = layers.MaxPooling3D((1, 3, 3), (1, 2, 2), "same", name="stem.pool", **options)(x)
    for stage, number in enumerate(blocks, start=1):
        for block in range(1, number + 1):
            side = 2 if stage > 1 and block == 1 else 1
            filters = scaled(FILTERS[stage - 1], width)
            x = basic_block(x, filters, (1, side, side), conv, norm, f"stage{stage}_block{block}", **options)
    pool = layers.GlobalAveragePooling2D if pooling == "average" else layers.Flatten
    x = layers.TimeDistributed(pool(**options), name="features", **options)(x)
    x = layers.LSTM(units, name="lstm", **options)(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout", **options)(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(clips, logits, name=name)
