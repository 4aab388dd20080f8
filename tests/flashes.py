"""A data set whose classes show in two ways: by a constant colour of all frames, and by a ramp of brightness in time.

A red clip becomes brighter, a blue one darker. The middle frame of both is equally bright. It is named by its file,
``tests/flashes.py:Flashes``, so that decode processes can import it.
"""

import json

import numpy as np

from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Clip, Sample
from tfvid.models.card import ModelCard

CLASSES = ("brighter", "darker")
T, SIZE = 5, (8, 8)
FLASHES = f"{__file__}:Flashes"


class Flashes(VideoDataset):
    """`count` clips in each split, the classes in turn; a few pixels of each differ."""

    class_names = CLASSES
    max_boxes = 1

    def __init__(self, count=6):
        self._count = count

    def samples(self, split):
        return [Sample(f"{split}-{i}", i % 2) for i in range(self._count)]

    def read(self, sample, num_frames, size):
        rng = np.random.default_rng(int(sample.id.rpartition("-")[2]))
        ramp = np.linspace(-60, 60, num_frames) * (1 if sample.label == 0 else -1)
        frames = np.full((num_frames, *size, 3), 120.0) + ramp[:, None, None, None]
        frames[..., 0 if sample.label == 0 else 2] += 30
        frames += rng.uniform(-4, 4, (*size, 1))
        boxes = np.tile(np.array([[[2, 2, 6, 6]]], np.float32), (num_frames, 1, 1))
        return Clip(np.clip(frames, 0, 255).astype(np.uint8), boxes=boxes)


def linear(kernel, folder, name):
    """A saved model whose first logit is the sum of pixels times `kernel` `(T, H, W, 3)`, the second is minus that."""
    import keras  # not above: decode processes import this file

    model = keras.Sequential(
        [keras.Input((T, *SIZE, 3)), keras.layers.Flatten(), keras.layers.Dense(2, use_bias=False)]
    )
    column = np.broadcast_to(kernel, (T, *SIZE, 3)).astype(np.float32).reshape(-1, 1)
    model.layers[-1].kernel.assign(np.concatenate([column, -column], axis=1))
    path = folder / name
    path.mkdir(parents=True)
    model.save(path / "model.keras")
    (path / "card.json").write_text(ModelCard(name, CLASSES, T, SIZE, "flashes").to_json(), encoding="utf-8")
    return path


def motion_model(folder, name="motion"):
    """Right by the ramp: twice the brightness of the last frame minus that of the first."""
    kernel = np.zeros((T, 1, 1, 1))
    kernel[0], kernel[-1] = -2 / 192, 2 / 192
    return linear(kernel, folder, name)


def colour_model(folder, name="colour"):
    """Right by the colour: it adds red and subtracts blue, the same in all frames, so that it ignores motion."""
    return linear(np.array([10, 0, -10]) / (64 * T), folder, name)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))
