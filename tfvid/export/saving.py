"""Writes a model and its explanations as one SavedModel."""

import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf

import tfvid
from tfvid.core.errors import ConfigError, ModelError, TfvidError, message_line
from tfvid.core.files import replacing_folder
from tfvid.explain.cam.grad_cam import GradCAM
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.explain.recorded_options import explainer_options
from tfvid.export.graph import clip_shape, noise, signatures, traced
from tfvid.models.card import ModelCard
from tfvid.models.loading import card_from_shapes
from tfvid.network.model_format import checked_range
from tfvid.network.private_api import used_variables
from tfvid.network.video_model import VideoModel

CARD, SETTINGS = "card.json", "explain.json"
FORMAT = 1  # of explain.json and the signatures


def save(
    model: keras.Model | VideoModel,
    path,
    *,
    card: ModelCard | None = None,
    mask: Mapping | None = None,
    grad_cam: Mapping | None = None,
    input_range: tuple[float, float] | str = "auto",
    overwrite: bool = False,
) -> Path:
    """Writes a SavedModel that classifies clips and explains its scores, for TensorFlow without Keras or tfvid.

    The clip's shape is fixed, the batch size is free. Inputs and outputs are float32. A model in mixed precision keeps
    computing in it.

    Args:
      model: a Keras model from float clips `(B, T, H, W, C)` to class scores `(B, K)`, or a `tfvid.VideoModel` of a
        Keras model. It is left unchanged.
      path: the folder to write. For TensorFlow Serving it ends in a version, ``.../<name>/1``.
      card: class names, and num_frames and size for models that take clips of any shape. Its `layer` is explained by
        Grad-CAM unless `grad_cam` names another. None: classes are "class 0", "class 1", ...
      mask: options of `tfvid.TemporalMask`, by keyword; `iterations` is the number of steps that `load` uses.
      grad_cam: options of `tfvid.GradCAM`, by keyword.
      input_range: lowest and highest pixel value that the model was trained on. The exported model takes clips in this
        range only; JPEG frames are scaled to it. "auto": the declared range, or that of the first layers, or (0, 1).
      overwrite: whether to replace a SavedModel at `path`.

    Returns:
      The absolute path of the folder.

    Raises:
      ModelError: the model cannot be explained or exported, or the card does not fit it.
      ConfigError: an option that the explainers do not have.
      TfvidError: `path` exists, or cannot be written. No partial folder is left.

    Example:
      >>> tfvid.export.save(model, "exported/shapes/1", card=card)
      >>> tf.saved_model.load("exported/shapes/1").signatures["grad_cam"](clips=clips, target=[-1])
    """
    path = Path(os.path.abspath(path))
    _check_free(path, overwrite)
    if checked_range(input_range) is None:
        raise TfvidError("input_range: expected the lowest and the highest pixel value, or 'auto', got None")
    mask, grad_cam = dict(mask or {}), dict(grad_cam or {})
    if card is not None:
        grad_cam.setdefault("layer", card.layer)
    options = explainer_options(mask, grad_cam)
    learn, locate = _explainers(model, mask, grad_cam, input_range)
    card = card or card_from_shapes(model, path.name)
    shape = clip_shape(learn.classifier.model, card.num_frames, card.size)
    input_range = _prepare(learn, locate, shape, input_range)
    if len(card.class_names) != learn.classifier.num_classes:
        raise ModelError(f"{len(card.class_names)} class names for a model of {learn.classifier.num_classes} classes")

    functions = signatures(learn, locate, shape, input_range)
    options |= {"grad_cam.layer": locate.layer, "mask.iterations": learn.iterations}
    card = dataclasses.replace(card, num_frames=shape[0], size=shape[1:3], layer=locate.layer)
    settings = json.dumps(_settings(learn, shape, input_range, options), indent=2, ensure_ascii=False) + "\n"
    _write(path, functions, {CARD: card.to_json(), SETTINGS: settings})
    return path


def _explainers(model, mask: dict, grad_cam: dict, input_range) -> tuple[TemporalMask, GradCAM]:
    """Builds the explainers whose functions are exported."""
    if (objective := mask.get("objective", "necessary")) != "necessary":
        raise ConfigError(
            f"option mask.objective: an exported model has necessary masks only, got {objective!r}; leave it out, and "
            "use tfvid.TemporalMask with the model itself"
        )
    scaled = {"input_range": "auto" if input_range == "auto" else None}
    learn, locate = TemporalMask(model, **mask | scaled), GradCAM(model, **grad_cam | scaled)
    if learn.method != "gradient":
        raise TfvidError(f"mask.method: an exported model supports method 'gradient' only, got {learn.method!r}")
    return learn, locate


def _prepare(learn: TemporalMask, locate: GradCAM, shape: tuple, input_range) -> tuple[float, float]:
    """Prepares the explainers on random clips, and returns the input range of the exported model."""
    clips = noise(shape, (0.0, 1.0) if input_range == "auto" else input_range)
    clips = learn.classifier.checked(clips)
    for explainer in (learn, locate):
        explainer.prepare(clips)
        if input_range == "auto":
            input_range = explainer.classifier.input_range or (0.0, 1.0)
        explainer.classifier.input_range = None  # the exported model takes clips in the model's own range
    return input_range


def _check_free(path: Path, overwrite: bool) -> None:
    """Refuses a `path` that must not be overwritten. Called before the long work."""
    if not path.exists():
        return
    if not overwrite:
        raise TfvidError(f"{path}: exists already; overwrite=True (--overwrite) replaces it")
    if not (path / "saved_model.pb").is_file():
        raise TfvidError(f"{path}: exists already and is no SavedModel, so it is not overwritten")


def _settings(learn: TemporalMask, shape: tuple, input_range: tuple[float, float], options: dict) -> dict:
    """Returns the settings for explain.json: all that a caller needs besides the card."""
    low, high = input_range
    scaled = "over 255" if (low, high) == (0, 1) else f"scaled from 0..255 to {low}..{high}"
    return {
        "format": FORMAT,
        "clips": {"dtype": "float32", "shape": [None, *shape], "range": [low, high]},
        "preprocessing": f"{shape[0]} frames spread evenly over the video, RGB, each resized as a whole to "
        f"{shape[1]}x{shape[2]} (area averages, rounded to 8 bits), {scaled}",
        "model_output": learn.classifier.output,
        "model_dtype": learn.classifier.model.dtype_policy.name,
        "options": options,
        "versions": {"tfvid": tfvid.__version__, "tensorflow": tf.__version__, "keras": keras.__version__},
    }


def _write(path: Path, functions: dict, about: dict[str, str]) -> None:
    """Writes the signatures, and the texts of `about` both as assets and as the signature "metadata"."""
    metadata = traced(lambda: {Path(name).stem: tf.constant(text) for name, text in about.items()})
    try:
        with replacing_folder(path) as temporary:
            _write_saved_model(temporary, functions | {"metadata": metadata}, about)
    except (OSError, tf.errors.OpError) as error:
        raise TfvidError(f"{path}: cannot write the exported model ({message_line(error)})") from error


def _write_saved_model(folder: Path, functions: dict, about: dict[str, str]) -> None:
    """Writes the SavedModel: signatures, the variables they use, and the files of `about` as assets."""
    root = tf.Module()
    root.variables_used = used_variables(functions.values())
    with tempfile.TemporaryDirectory() as sources:
        root.assets = []
        for name, text in about.items():
            file = Path(sources, name)
            file.write_text(text, encoding="utf-8")
            root.assets.append(tf.saved_model.Asset(file))
        # The graph contains the gradients that the explanations need, so custom gradients are not saved.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        try:
            tf.saved_model.save(root, str(folder), functions, options)
        except AssertionError as error:  # e.g. a table that the model does not track
            raise ModelError(f"the model cannot be exported: {message_line(error)}") from error
