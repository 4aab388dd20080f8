"""C-LSTM: a stack of convolutional LSTMs, Mänttäri et al., ACCV 2020, section 4.2 and table 6.

The model has N blocks of ConvLSTM2D -> batch norm -> 2x2 max-pool over space. A linear classifier uses the features of
all time steps and positions. The published parameter count, 1,324,014 for Something-something, is correct only if the
blocks *share one* batch-norm layer; `shared_batch_norm` selects this.

The authors' code uses TensorFlow 1, whose ConvLSTM2D has a hard sigmoid at its gates; Keras 3 uses the logistic
sigmoid. `gates` selects one of them.
"""

import keras
from keras import layers

from tfvid.core.errors import ModelError, check_choice
from tfvid.models.ends import classified, signed_clips
from tfvid.network.activations import keras2_hard_sigmoid

GATES = {"sigmoid": "sigmoid", "hard_sigmoid": keras2_hard_sigmoid}


def ConvLSTM(
    num_classes: int,
    num_frames: int = 16,
    size: tuple[int, int] = (224, 224),
    *,
    blocks: int = 3,
    filters: int = 32,
    kernel: int = 5,
    gates: str = "sigmoid",
    dropout: float = 0.0,
    shared_batch_norm: bool = True,
    synchronized: bool = False,
    dtype=None,
    name: str = "conv_lstm",
) -> keras.Model:
    """Builds the C-LSTM.

    With the defaults and 174 classes, it has 1,324,014 trainable parameters; 1,324,142 if each block has a batch norm.

    Args:
      num_classes: number of classes, K.
      num_frames: frames per clip, T.
      size: frame height and width, (H, W).
      blocks: number of ConvLSTM2D blocks; each divides H and W by four.
      filters: filters of each ConvLSTM2D.
      kernel: spatial kernel of each ConvLSTM2D, in pixels.
      gates: activation of the gates: "sigmoid", the logistic sigmoid, or "hard_sigmoid", ``clip(0.2 x + 0.5, 0, 1)``,
        as in the authors' TensorFlow 1 code.
      dropout: rate between the blocks, in [0, 1).
      shared_batch_norm: use one batch-norm layer for all blocks, as the published parameter count implies.
      synchronized: batch norm over all replicas; set it under a `tf.distribute` strategy only.
      dtype: Keras dtype policy of the layers, e.g. "mixed_bfloat16"; None for the global one.

    Returns:
      A functional model from float32 clips `(B, T, H, W, 3)` in [0, 1] to float32 logits `(B, K)`. Grad-CAM explains
      the last ConvLSTM2D, the layer ``conv_lstm_<blocks>``.

    Raises:
      ModelError: the frames are too small for the number of blocks.
      TfvidError: `gates` is unknown.
    """
    check_choice("gates", gates, GATES)
    _check_blocks(blocks, size)
    options = {"dtype": dtype}

    def batch_norm(block):
        return layers.BatchNormalization(synchronized=synchronized, name=f"batch_norm{block}", **options)

    shared = batch_norm("") if shared_batch_norm else None
    recurrent = options | {"return_sequences": True, "recurrent_activation": GATES[gates]}
    # Scaled to [-1, 1] like I3D's input; the paper does not state the range.
    clips, x = signed_clips(num_frames, size, **options)
    for block in range(1, blocks + 1):
        x = layers.ConvLSTM2D(filters, kernel, 2, "same", name=f"conv_lstm_{block}", **recurrent)(x)
        x = (shared or batch_norm(f"_{block}"))(x)
        x = layers.MaxPooling3D((1, 2, 2), name=f"pool_{block}", **options)(x)
        if dropout and block < blocks:
            x = layers.Dropout(dropout, name=f"dropout_{block}", **options)(x)
    x = layers.Flatten(name="flatten", **options)(x)
    return classified(clips, x, num_classes, 0.0, name)


def _check_blocks(blocks: int, size: tuple[int, int]) -> None:
    """Raises ModelError if there is no block, or if frames of `size` are too small for `blocks`."""
    if blocks < 1:
        raise ModelError(f"ConvLSTM: blocks must be 1 or more, got {blocks}")
    side = min(size)
    for _ in range(blocks):
        side = (side + 1) // 2 // 2  # convolution with stride 2 and padding "same", then pool with padding "valid"
    if side < 1:
        raise ModelError(f"ConvLSTM: {blocks} blocks halve frames {2 * blocks} times; {tuple(size)} is too small")
