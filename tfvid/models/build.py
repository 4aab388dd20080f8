"""The model a configuration describes, with weights that depend on its seed alone."""

import inspect
import random
import re
from contextlib import contextmanager
from pathlib import Path

import keras

from tfvid.config import RunConfig
from tfvid.core.errors import ModelError, unknown
from tfvid.models import MODELS
from tfvid.models.loading import load_weights
from tfvid.models.weights import is_checkpoint, load_kinetics
from tfvid.network.model_format import declare


def build_model(
    config: RunConfig, num_classes: int, dtype: str = "float32", *, synchronized: bool = False
) -> keras.Model:
    """Builds ``config.model`` for the clips of ``config.data``.

    Args:
      num_classes: number of classes, K.
      dtype: Keras dtype policy of the layers.
      synchronized: batch norm over all replicas, where the model has that option; under a strategy only.

    Returns:
      A model from float32 clips `(B, T, H, W, 3)` in [0, 1] to logits `(B, K)`. Initial weights and dropout
      follow from ``config.seed``; no global random state is changed. It is declared to take clips as they are, for
      it is trained on them, whatever its first layers say.

    Raises:
      ModelError: an option the model does not have, or a value it refuses.
      TfvidError: no such model.
    """
    builder, options = MODELS.find(config.model.name), config.model.options
    valid = _options_of(builder)
    for option in options:
        if option not in valid:
            raise ModelError(f"model.options: {unknown(f'option of {config.model.name}', option, valid)}")
    if synchronized and "synchronized" in valid:
        options = options | {"synchronized": True}
    with seeded(config.seed):
        try:
            model = builder(num_classes, config.data.num_frames, config.data.size, dtype=dtype, **options)
            return declare(model, input_range=None)
        except ModelError:
            raise
        except (TypeError, ValueError) as error:  # what Keras' layers raise for a value that does not fit
            said = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())
            raise ModelError(f"cannot build {config.model.name} with {options}: {said[:300]}") from error


def _options_of(builder) -> list[str]:
    """The arguments that may stand in ``model.options``: those after num_classes, num_frames and size."""
    names = list(inspect.signature(builder).parameters)[3:]
    return [name for name in names if name not in ("dtype", "name")]


def load_initial_weights(model: keras.Model, path: str) -> None:
    """Starts `model` from ``model.weights``: a ``.keras`` file or folder, or a Kinetics checkpoint's prefix.

    The classifier is left as it is where it has another shape there. Says what it loaded.

    Raises:
      ModelError: there is nothing there, or it does not fit.
    """
    if is_checkpoint(path):
        print(load_kinetics(model, path))
    elif Path(path).exists():
        print(load_weights(model, path, other_classifier=True))
    else:
        raise ModelError(f"{path}: no such weights; expected a .keras file or a TensorFlow checkpoint's prefix")


@contextmanager
def seeded(seed: int):
    """Makes the seeds that Keras draws for initial weights and dropout follow from `seed`.

    Keras draws them from Python's own generator when a layer is made; its state is put back afterwards.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
