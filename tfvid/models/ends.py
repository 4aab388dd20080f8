"""The two ends that models share: the input of clips, and the classifier."""

import keras
import numpy as np
from keras import layers


def signed_clips(num_frames: int | None, size: tuple, **options):
    """Returns symbolic clips `(B, T, H, W, 3)` in [0, 1], and the same clips in [-1, 1].

    Args:
      num_frames: T; None for any.
      size: (H, W) in pixels; None for any.
      **options: keyword arguments of the Keras layer.
    """
    clips = keras.Input((num_frames, *size, 3), name="clips")
    return clips, layers.Rescaling(2.0, -1.0, name="to_signed", **options)(clips)


def changes(clips, **options):
    """Returns the change from each frame to the next, `(B, T - 1, H, W, 3)`, by a convolution with fixed weights.

    A network of changes cannot use a still picture: a clip whose frames are all equal becomes zeros.

    Args:
      clips: symbolic clips `(B, T, H, W, 3)`.
      **options: keyword arguments of the Keras layer.
    """
    layer = layers.Conv3D(3, (2, 1, 1), use_bias=False, trainable=False, name="change", **options)
    x, same_colour = layer(clips), np.eye(3, dtype="float32")
    layer.set_weights([np.stack([-same_colour, same_colour])[:, np.newaxis, np.newaxis]])
    return x


def classified(clips, features, num_classes: int, dropout: float, name: str, **options) -> keras.Model:
    """Returns the model from `clips` to logits `(B, K)`, float32: dropout and a dense layer on `features` `(B, F)`.

    Args:
      clips: the input of the model.
      features: symbolic features.
      num_classes: K.
      dropout: rate, in [0, 1); 0 makes no layer.
      name: of the model.
      **options: keyword arguments of the dropout layer.
    """
    if dropout:
        features = layers.Dropout(dropout, name="dropout", **options)(features)
    return keras.Model(clips, layers.Dense(num_classes, dtype="float32", name="logits")(features), name=name)
