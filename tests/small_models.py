"""Saved models that are small enough for tests of whole commands."""

import keras
from keras import layers

from tfvid.models.card import ModelCard
from tfvid.models.i3d import I3D

DROPOUT_NETWORK = f"{__file__}:DropoutNetwork"  # as a configuration names it
TINY_CLASSES = ("Something appearing", "Something disappearing")


def tiny_i3d(folder, name="tiny", width=0.1):
    """An untrained I3D of `TINY_CLASSES` at 4x16x16 with its card, saved as ``folder/<name>``; returns that path."""
    return saved(lambda: I3D(2, 4, (16, 16), width=width, depth=1), folder, name)


def tiny_network(folder, name="tiny"):
    """One convolution and a pool, saved as `tiny_i3d`; for tests that an architecture does not matter to."""
    return saved(
        lambda: keras.Sequential(
            [
                keras.Input((4, 16, 16, 3)),
                layers.Conv3D(4, 3, padding="same", activation="relu", name="conv"),
                layers.MaxPooling3D((1, 2, 2)),
                layers.Flatten(),
                layers.Dense(2),
            ]
        ),
        folder,
        name,
    )


def saved(build, folder, name):
    """The model that `build` makes, with seed 1, and its card in ``folder/<name>``; returns that path."""
    keras.utils.set_random_seed(1)
    path = folder / name
    path.mkdir()
    build().save(path / "model.keras")
    card = ModelCard(name, TINY_CLASSES, 4, (16, 16), "shapes")
    (path / "card.json").write_text(card.to_json(), encoding="utf-8")
    return path


def DropoutNetwork(num_classes, num_frames, size, filters=2, dropout=0.2, norm=False, dtype=None):  # noqa: N802
    """Clips (B, T, H, W, 3) to logits (B, K), quick to trace: for tests of training at any architecture."""
    clips = keras.Input((num_frames, *size, 3))
    x = layers.Conv3D(filters, 3, padding="same", activation="relu", dtype=dtype, name="conv")(clips)
    if norm:
        x = layers.BatchNormalization(dtype=dtype)(x)
    x = layers.MaxPooling3D((1, 2, 2), dtype=dtype, name="pool")(x)
    x = layers.Dropout(dropout, dtype=dtype)(layers.Flatten(dtype=dtype)(x))
    return keras.Model(clips, layers.Dense(num_classes, dtype="float32", name="logits")(x))
