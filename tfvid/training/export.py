"""Writes the trained model as a SavedModel that contains the Keras model and its card.

saved_models/<name>/saved_model.pb, variables/     TensorFlow: float32 clips (B, T, H, W, 3) to logits (B, K)
saved_models/<name>/assets.extra/model.keras       Keras: `tfvid.load_model` reads it
saved_models/<name>/assets.extra/card.json         class names, clip size, ...
saved_models/<name>/assets.extra/config.yaml       the run's configuration; ``tfvid evaluate`` reads it
"""

from pathlib import Path

import keras
import tensorflow as tf

from tfvid.core.errors import TfvidError, message_line
from tfvid.core.files import replacing_folder
from tfvid.models.card import ModelCard


def write_saved_model(folder: Path, model: keras.Model, card: ModelCard, settings: str) -> None:
    """Writes ``saved_models/<name>`` under a temporary name, then replaces an older folder with it.

    Args:
      folder: ``saved_models/<name>``.
      model: the float32 model.
      card: the model's card.
      settings: the configuration of the run, as YAML.

    Raises:
      TfvidError: the model cannot be written, e.g. because the disk is full. An older folder is unchanged.
    """
    try:
        with replacing_folder(folder) as temporary:
            model.export(temporary, format="tf_saved_model", verbose=False)
            extra = temporary / "assets.extra"
            extra.mkdir()
            model.save(extra / "model.keras")
            (extra / "card.json").write_text(card.to_json(), encoding="utf-8")
            (extra / "config.yaml").write_text(settings, encoding="utf-8")
    except (OSError, tf.errors.OpError) as error:
        raise TfvidError(
            f"{folder}: cannot write the saved model ({message_line(error)}); start the run again: "
            "it does not repeat the training"
        ) from error
