"""A saved model that is small enough for tests of whole commands."""

import keras

from tfvid.models.card import ModelCard
from tfvid.models.i3d import I3D

TINY_CLASSES = ("Something appearing", "Something disappearing")


def tiny_i3d(folder, name="tiny", width=0.1):
    """An untrained I3D of `TINY_CLASSES` at 4x16x16 with its card, saved as ``folder/<name>``; returns that path."""
    keras.utils.set_random_seed(1)
    path = folder / name
    path.mkdir()
    I3D(2, 4, (16, 16), width=width, depth=1).save(path / "model.keras")
    card = ModelCard(name, TINY_CLASSES, 4, (16, 16), "shapes")
    (path / "card.json").write_text(card.to_json(), encoding="utf-8")
    return path
