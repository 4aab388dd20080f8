"""The two ends that tfvid's models share: the input of clips, and the classifier."""

import keras
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
