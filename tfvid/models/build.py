"""Builds a classifier by name, with initial weights that depend on the seed only."""

import inspect
import random
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

import keras

from tfvid.core.errors import ModelError, message_line, unknown
from tfvid.models import MODELS
from tfvid.models.loading import load_weights
from tfvid.models.weights import is_checkpoint, load_kinetics
from tfvid.network.model_format import declare


def build_model(
    name: str,
    num_classes: int,
    num_frames: int,
    size: tuple[int, int],
    options: Mapping[str, object] | None = None,
    *,
    seed: int = 0,
    dtype: str = "float32",
    synchronized: bool = False,
) -> keras.Model:
    """Builds a video classifier.

    Args:
      name: a name in `tfvid.models.MODELS`, or ``"my_file.py:MyModel"``.
      num_classes: number of classes, K.
      num_frames: frames per clip, T.
      size: frame (H, W) in pixels.
      options: further keyword arguments of the model, e.g. ``{"dropout": 0.5}``.
      seed: of the initial weights and of dropout.
      dtype: Keras dtype policy of the layers.
      synchronized: compute batch norm over all replicas, if the model has that option. For use under a
        `tf.distribute` strategy only.

    Returns:
      A model from float32 clips `(B, T, H, W, 3)` in [0, 1] to logits `(B, K)`. No global random state is changed.
      The model's input range is declared as None: training feeds it clips in [0, 1] without scaling.

    Raises:
      ModelError: an option is unknown, or its value is invalid.
      TfvidError: there is no model with this name.
    """
    builder, options = MODELS.find(name), dict(options or {})
    valid = _options_of(builder)
    for option in options:
        if option not in valid:
            raise ModelError(f"model.options: {unknown(f'option of {name}', option, valid)}")
    if synchronized and "synchronized" in valid:
        options["synchronized"] = True
    with seeded(seed):
        try:
            model = builder(num_classes, num_frames, size, dtype=dtype, **options)
            return declare(model, input_range=None)
        except ModelError:
            raise
        except (TypeError, ValueError) as error:  # Keras' layers raise these for an invalid value
            raise ModelError(f"cannot build {name} with {options}: {message_line(error)}") from error


def _options_of(builder) -> list[str]:
    """Returns the valid keys of `options`: the arguments after num_classes, num_frames and size."""
    names = list(inspect.signature(builder).parameters)[3:]
    return [name for name in names if name not in ("dtype", "name")]


def load_initial_weights(model: keras.Model, path: str) -> None:
    """Loads pretrained weights into `model`, and prints what was loaded.

    The last layer keeps its own weights if its shape differs from the pretrained one.

    Args:
      model: a model of the same architecture.
      path: a ``.keras`` file, the folder of a run, or the prefix of a DeepMind Kinetics I3D checkpoint.

    Raises:
      ModelError: `path` does not exist, or its weights do not fit the model.
    """
    if is_checkpoint(path):
        print(load_kinetics(model, path))
    elif Path(path).exists():
        print(load_weights(model, path, other_classifier=True))
    else:
        raise ModelError(f"{path}: no such weights; expected a .keras file or a TensorFlow checkpoint's prefix")


@contextmanager
def seeded(seed: int):
    """Context manager in which the seeds of initial weights and dropout depend on `seed` only.

    Keras draws these seeds from Python's `random` when it creates a layer. The state of `random` is restored at the
    end.

    Args:
      seed: of Python's `random`.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
