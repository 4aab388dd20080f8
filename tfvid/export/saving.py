"""Writing a model with its explanations as one SavedModel."""

import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf

import tfvid
from tfvid.core.errors import ModelError, TfvidError
from tfvid.core.files import replacing_folder
from tfvid.experiments.explain_clips import explainer_options
from tfvid.explain.cam.grad_cam import GradCAM
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.export.graph import clip_shape, noise, signatures, traced
from tfvid.models.card import ModelCard
from tfvid.models.loading import card_from_shapes
from tfvid.network.checks import checked_clips
from tfvid.network.model_format import checked_range

CARD, SETTINGS = "card.json", "explain.json"
FORMAT = 1  # of explain.json and the signatures


def save(
    model: keras.Model,
    path,
    *,
    card: ModelCard | None = None,
    mask: Mapping | None = None,
    grad_cam: Mapping | None = None,
    input_range: tuple[float, float] | str = "auto",
    overwrite: bool = False,
) -> Path:
    """Writes a SavedModel that classifies clips and explains its answers, for TensorFlow without Keras or tfvid.

    The clip's shape is fixed by this, the batch size is not. Inputs and outputs are float32, whatever the model
    computes in; one in mixed precision goes on computing in it.

    Args:
      model: a Keras model, see `tfvid.explain.base.Explainer`. It is left unchanged.
      path: the folder to write; for TensorFlow Serving it ends in a version, ``.../<name>/1``.
      card: class names, and num_frames and size where the model takes any; its `layer` is the one Grad-CAM explains
        unless `grad_cam` names another. None: classes are called "class 0", "class 1", ...
      mask: options of `tfvid.TemporalMask`; `iterations` is only what `load` asks for.
      grad_cam: options of `tfvid.GradCAM`.
      input_range: lowest and highest pixel value the model was trained on. The exported model takes clips in this
        range (in Python, too: they are not in [0, 1] then), those outside it are refused, and JPEG frames are scaled to
        it. "auto": what was declared of the model, or what its first layers say, or else (0, 1).
      overwrite: puts it in the place of a SavedModel that is there.

    Returns:
      The folder.

    Raises:
      ModelError: a model that cannot be explained or exported, or a card that does not fit it.
      ConfigError: an option that the explainers do not have.
      TfvidError: `path` is there already, or cannot be written. Nothing is left half-written.

    Example:
      >>> tfvid.export.save(model, "exported/shapes/1", card=card)
      >>> tf.saved_model.load("exported/shapes/1").signatures["grad_cam"](clips=clips, target=[-1])
    """
    path = Path(os.path.abspath(path))
    _check_free(path, overwrite)
    if checked_range(input_range) is None:
        raise TfvidError("input_range: expected the lowest and the highest pixel value, or 'auto', got None")
    grad_cam = dict(grad_cam or {})
    if card is not None:
        grad_cam.setdefault("layer", card.layer)
    options = explainer_options(mask or {}, grad_cam)
    scaled = {"input_range": "auto" if input_range == "auto" else None}
    learn, locate = TemporalMask(model, **dict(mask or {}) | scaled), GradCAM(model, **grad_cam | scaled)

    if learn.method != "gradient":
        raise TfvidError(f"mask.method: an exported model learns masks by 'gradient' only, got {learn.method!r}")

    card = card or card_from_shapes(model, path.name)
    shape = clip_shape(model, card.num_frames, card.size)
    clips = checked_clips(noise(shape, (0.0, 1.0) if input_range == "auto" else input_range), model)
    for explainer in (learn, locate):
        explainer.prepare(clips)
        if input_range == "auto":
            input_range = explainer.classifier.input_range or (0.0, 1.0)
        explainer.classifier.input_range = None  # whoever calls the exported model gives it what the model takes
    if len(card.class_names) != learn.classifier.num_classes:
        raise ModelError(f"{len(card.class_names)} class names for a model of {learn.classifier.num_classes} classes")

    functions = signatures(learn, locate, shape, input_range)
    options |= {"grad_cam.layer": locate.layer, "mask.iterations": learn.iterations}
    about = {
        CARD: dataclasses.replace(card, num_frames=shape[0], size=shape[1:3], layer=locate.layer).to_json(),
        SETTINGS: json.dumps(_settings(learn, shape, input_range, options), indent=2, ensure_ascii=False) + "\n",
    }
    functions["metadata"] = traced(lambda: {Path(name).stem: tf.constant(text) for name, text in about.items()})
    try:
        with replacing_folder(path) as temporary:
            _write(temporary, functions, about)
    except (OSError, tf.errors.OpError) as error:
        raise TfvidError(f"{path}: cannot write the exported model ({' '.join(str(error).split())})") from error
    return path


def _check_free(path: Path, overwrite: bool) -> None:
    """Refuses, before the long work, a `path` that must not be written over."""
    if not path.exists():
        return
    if not overwrite:
        raise TfvidError(f"{path}: is there already; overwrite=True (--overwrite) puts the new model in its place")
    if not (path / "saved_model.pb").is_file():
        raise TfvidError(f"{path}: is there already and is no SavedModel, so it is not overwritten")


def _settings(learn: TemporalMask, shape: tuple, input_range: tuple[float, float], options: dict) -> dict:
    """What a caller needs to know beside the card."""
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


def _write(folder: Path, functions: dict, about: dict[str, str]) -> None:
    """The SavedModel: signatures, the variables they use, and the files of `about` as assets."""
    root = tf.Module()
    root.variables_used = list({id(v): v for function in functions.values() for v in function.graph.variables}.values())
    with tempfile.TemporaryDirectory() as sources:
        root.assets = []
        for name, text in about.items():
            file = Path(sources, name)
            file.write_text(text, encoding="utf-8")
            root.assets.append(tf.saved_model.Asset(file))
        # The gradients that the explanations need are in the graph; those of custom ones need not come along.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        try:
            tf.saved_model.save(root, str(folder), functions, options)
        except AssertionError as error:  # a table, say, that belongs to no variable of the model
            raise ModelError(f"the model cannot be exported: {' '.join(str(error).split())[:300]}") from error
