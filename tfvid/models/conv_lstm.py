"""C-LSTM: a stack of convolutional LSTMs, Mänttäri et al., ACCV 2020, section 4.2 and table 6.

N blocks of ConvLSTM2D -> batch norm -> 2x2 max-pool over space; all steps and places together feed one
linear classifier. The published parameter count, 1,324,014 for Something-something, holds only if the blocks
*share one* batch-norm layer; both ways are offered.

The authors' code was written for TensorFlow 1, whose ConvLSTM2D has a hard sigmoid at its gates; Keras 3 has the
logistic one. Both ways are offered.
"""

import keras
from keras import layers

from tfvid.core.errors import ModelError, check_choice
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

    With the defaults and 174 classes it has 1,324,014 trainable parameters (1,324,142 with a batch norm of its
    own in each block).

    Args:
      num_classes: number of classes, K.
      num_frames: frames a clip, T.
      size: frame height and width, (H, W).
      blocks: number of ConvLSTM2D blocks; each divides H and W by four.
      filters: filters of each ConvLSTM2D.
      kernel: spatial kernel of each ConvLSTM2D, in pixels.
      gates: activation of the gates: "sigmoid", the logistic one, or "hard_sigmoid", ``clip(0.2 x + 0.5, 0, 1)``, as in
        the authors' TensorFlow 1 code.
      dropout: rate between the blocks, in [0, 1).
      shared_batch_norm: one batch-norm layer for all blocks, as the published count implies.
      synchronized: batch norm over all replicas; set it under a `tf.distribute` strategy only.
      dtype: Keras dtype policy of the layers, e.g. "mixed_bfloat16"; None for the global one. Logits are
        always float32.

    Returns:
      A functional model from float32 clips `(B, T, H, W, 3)` in [0, 1] to logits `(B, K)`. The last
      ConvLSTM2D, the layer Grad-CAM explains, is called ``conv_lstm_<blocks>``.

    Raises:
      ModelError: frames too small for the number of blocks.
      TfvidError: gates that do not exist.
    """
    check_choice("gates", gates, GATES)
    if blocks < 1:
        raise ModelError(f"ConvLSTM: blocks must be 1 or more, got {blocks}")
    side = min(size)
    for _ in range(blocks):
        side = (side + 1) // 2 // 2  # strided convolution, padding same; then pool, padding valid
    if side < 1:
        raise ModelError(f"ConvLSTM: {blocks} blocks halve frames {2 * blocks} times; {tuple(size)} is too small")
    options = {"dtype": dtype}

    def batch_norm(block):
        return layers.BatchNormalization(synchronized=synchronized, name=f"batch_norm{block}", **options)

    shared = batch_norm("") if shared_batch_norm else None
    clips = keras.Input((num_frames, *size, 3), name="clips")
    # Centred, as I3D's inputs are; the paper does not say.
    x = layers.Rescaling(2.0, -1.0, name="to_signed", **options)(clips)
    for block in range(1, blocks + 1):
        x = layers.ConvLSTM2D(
            filters,
            kernel,
            strides=2,
            padding="same",
            recurrent_activation=GATES[gates],
            return_sequences=True,
            name=f"conv_lstm_{block}",
            **options,
        )(x)
        x = (shared or batch_norm(f"_{block}"))(x)
        x = layers.MaxPooling3D((1, 2, 2), name=f"pool_{block}", **options)(x)
        if dropout and block < blocks:
            x = layers.Dropout(dropout, name=f"dropout_{block}", **options)(x)
    x = layers.Flatten(name="flatten", **options)(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(clips, logits, name=name)
