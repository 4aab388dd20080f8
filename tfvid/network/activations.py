"""Activations that Keras 3 does not have, registered so that Keras can save and load models with them.

`tfvid.load_model` imports this module. Import it before `keras.saving.load_model`.
"""

import keras


@keras.saving.register_keras_serializable("tfvid")
def keras2_hard_sigmoid(x):
    """The hard sigmoid of Keras 1 and 2 and of TensorFlow 1: ``clip(0.2 x + 0.5, 0, 1)``.

    It was the default gate of their LSTM layers. ``hard_sigmoid`` of Keras 3 is another function,
    ``clip(x / 6 + 0.5, 0, 1)``.

    Args:
      x: a float tensor of any shape.

    Returns:
      A tensor like `x`, values in [0, 1].
    """
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)
