"""Loss, optimizer and metrics of a classifier: those it was saved with, or those that tfvid trains with."""

import json
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import keras

from tfvid.models.card import ModelCard

MOST_THRESHOLDS = 4096  # of a metric that a file brings along, or classes: some keep a matrix of them


def compile_classifier(model: keras.Model, optimizer: keras.optimizers.Optimizer, *, from_logits: bool = True) -> None:
    """Compiles `model` as tfvid trains: sparse categorical cross-entropy, accuracy and top-5 accuracy, in float32.

    Args:
      model: of clips to class scores `(B, K)`.
      optimizer: its variables may be built or not.
      from_logits: whether the scores are logits; False for probabilities.
    """
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits, dtype="float32"),
        metrics=[
            keras.metrics.SparseCategoricalAccuracy("accuracy", dtype="float32"),
            keras.metrics.SparseTopKCategoricalAccuracy(5, "top_5", dtype="float32"),
        ],
    )


def compile_by_card(model: keras.Model, card: ModelCard) -> None:
    """Compiles a model that was saved without loss and optimizer, where its scores are those of the card's classes.

    One that ends in another activation than softmax, such as a sigmoid for each of several labels, is left as it is.
    """
    classes = len(card.class_names)
    if model.compiled or classes < 2 or getattr(model, "output_shape", None) != (None, classes):
        return
    last = model.layers[-1]
    activation = getattr(last, "activation", keras.activations.linear)
    if isinstance(last, keras.layers.Softmax) or activation is keras.activations.softmax:
        compile_classifier(model, keras.optimizers.Adam(), from_logits=False)
    elif activation is keras.activations.linear:
        compile_classifier(model, keras.optimizers.Adam(), from_logits=card.output != "probabilities")


def read_compiled(file: Path, custom_objects: Mapping[str, object], name: Path) -> keras.Model:
    """Reads a ``.keras`` file in Keras' safe mode, compiled where the file says how.

    Where that cannot be restored, e.g. a loss of the author's own, the model is not compiled, and a warning says why.

    Args:
      file: the file, or a copy of it that Keras 3 reads.
      custom_objects: the model's own layers and functions by name.
      name: what a warning calls the file.

    Raises:
      Exception: the model itself cannot be loaded; Keras, h5py, zipfile and json each raise their own.
    """
    reason = None
    config = _compile_config(file)
    if config and _counts_too_much(config):
        reason = f"it has a metric of more than {MOST_THRESHOLDS} thresholds or classes"
    elif config:
        try:
            return keras.saving.load_model(file, custom_objects, compile=True, safe_mode=True)
        except Exception as error:  # of the model or of its compilation: the next call tells them apart
            reason = " ".join(str(error).split()).split(". ")[0][:200]
    model = keras.saving.load_model(file, custom_objects, compile=False, safe_mode=True)
    if reason is not None:
        warnings.warn(
            f"{name}: loaded without its loss and optimizer, which cannot be restored ({reason}); "
            "call model.compile(...) before fit or evaluate",
            RuntimeWarning,
            stacklevel=3,
        )
    return model


def _compile_config(file: Path) -> dict | None:
    """How a ``.keras`` file says that the model was compiled; None where it does not, or cannot be read."""
    try:
        with zipfile.ZipFile(file) as archive:
            return dict(json.loads(archive.read("config.json"))["compile_config"] or {}) or None
    except Exception:  # whatever is wrong with the file, loading it says
        return None


def _counts_too_much(config) -> bool:
    """Whether a metric somewhere in it would fill the memory when it is made; the file may come from anyone."""
    found = [config]
    for value in found:
        if isinstance(value, dict):
            numbers = [count for name, count in value.items() if name.startswith("num_")]
            if any(isinstance(count, int | float) and count > MOST_THRESHOLDS for count in numbers):
                return True
            found += value.values()
        elif isinstance(value, list):
            found += value
    return False
