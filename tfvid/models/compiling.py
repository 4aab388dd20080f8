"""Compiles a classifier with the loss, optimizer and metrics that it was saved with, or with those of tfvid."""

import json
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import keras

from tfvid.models.card import ModelCard

MOST_THRESHOLDS = 4096  # thresholds or classes of a metric in an untrusted file; some metrics hold a matrix of them


def compile_classifier(model: keras.Model, optimizer: keras.optimizers.Optimizer, *, from_logits: bool = True) -> None:
    """Compiles `model` with sparse categorical cross-entropy, accuracy and top-5 accuracy, all in float32.

    Args:
      model: a model from clips to class scores `(B, K)`.
      optimizer: the optimizer; its variables need not be built.
      from_logits: True if the scores are logits; False if they are probabilities.
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
    """Compiles a model that was saved without loss and optimizer, if it has one output for each class of the card.

    A model whose last activation is neither linear nor softmax, e.g. a sigmoid for several labels, stays uncompiled.
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
    """Reads a ``.keras`` file in Keras' safe mode, and compiles the model as the file specifies.

    If the loss, the metrics or the optimizer cannot be restored, e.g. a custom loss, the model is not compiled, and a
    warning states the reason.

    Args:
      file: the file, or a copy of it that Keras 3 can read.
      custom_objects: the model's custom layers and functions by name.
      name: the name of the file in the warning.

    Raises:
      Exception: the model cannot be loaded; Keras, h5py, zipfile and json each raise their own exceptions.
    """
    reason = None
    config = _compile_config(file)
    if config and _counts_too_much(config):
        reason = f"it has a metric of more than {MOST_THRESHOLDS} thresholds or classes"
    elif config:
        try:
            return keras.saving.load_model(file, custom_objects, compile=True, safe_mode=True)
        except Exception as error:  # if the model itself is the cause, the next call raises it
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
    """Returns the compile configuration of a ``.keras`` file; None if there is none or the file cannot be read."""
    try:
        with zipfile.ZipFile(file) as archive:
            return dict(json.loads(archive.read("config.json"))["compile_config"] or {}) or None
    except Exception:  # loading the model reports the error
        return None


def _counts_too_much(config) -> bool:
    """Whether a metric in the configuration of an untrusted file would use too much memory."""
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
