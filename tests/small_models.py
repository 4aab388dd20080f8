"""A saved model that is small enough for tests of whole commands."""

import keras

from tfvid.models.card import ModelCard
from tfvid.models.i3d import I3D

TINY_CLASSES = ("Something appearing", "Something disappearing")


def tiny_i3d(folder):
    """An untrained I3D of `TINY_CLASSES` at 4x16x16 with its card, saved as ``folder/tiny``; returns that path."""
    keras.utils.set_random_seed(1)
    path = folder / "tiny"
    path.mkdir()
    I3D(2, 4, (16, 16), width=0.1, depth=1).save(path / "model.keras")
    card = ModelCard("tiny", TINY_CLASSES, 4, (16, 16), "shapes")
    (path / "card.json").write_text(card.to_json(), encoding="utf-8")
    return path
