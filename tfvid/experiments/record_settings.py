"""The settings that a record depends on: options of explainers, the description of the model, and its weights."""

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np

from tfvid.adapters.foreign import ForeignModel
from tfvid.adapters.makes import adapted
from tfvid.core.errors import ConfigError
from tfvid.experiments.clip_explainers import GRAD_CAM
from tfvid.explain.base import Attribution
from tfvid.explain.explainers import EXPLAINERS
from tfvid.explain.recorded_options import explainer_options
from tfvid.models.foreign_files import file_digest
from tfvid.network.model_format import ModelFormat, declared
from tfvid.network.video_model import VideoModel


def record_options(mask: Mapping, grad_cam: Mapping, maps: str = GRAD_CAM) -> dict:
    """Returns the options of the explainers that records depend on.

    Args:
      mask: options of `tfvid.TemporalMask`.
      grad_cam: options of `tfvid.GradCAM`.
      maps: the method of the maps.

    Raises:
      ConfigError: an option that does not exist, options of Grad-CAM for another method, or a method without maps.
      TfvidError: an unknown method.
    """
    options = explainer_options(mask, grad_cam)
    if maps == GRAD_CAM:
        return options
    if given := [name for name, value in grad_cam.items() if value is not None]:
        raise ConfigError(f"option grad_cam.{given[0]}: the maps are those of {maps!r}; leave one of them out")
    if not issubclass(EXPLAINERS.find(maps).result_type, Attribution):
        raise ConfigError(f"maps: expected a method that makes a map for each frame, such as 'gradient', got {maps!r}")
    return {name: value for name, value in options.items() if not name.startswith("grad_cam.")} | {"maps": maps}


def model_settings(model) -> dict:
    """Returns what is declared of a model, or the fields of a `VideoModel`, as far as they are not the defaults."""
    if not isinstance(model, VideoModel):
        return _declared_settings(model)
    plain = {field.name: field for field in dataclasses.fields(VideoModel)}
    changed = {name: value for name, value in vars(model).items() if name in plain and value != plain[name].default}
    left_out = ("model", "class_names", *(["inputs"] if not model.inputs else []))
    described = {f"model.{name}": _in_words(value) for name, value in changed.items() if name not in left_out}
    return _declared_settings(model.model) | described


def _in_words(value):
    """A field of a `VideoModel` as a plain value: a function by its name, an array by a digest."""
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    if isinstance(value, Mapping):
        return {str(name): _in_words(one) for name, one in value.items()}
    if isinstance(value, str | int | float | tuple):
        return value
    return _digest([np.asarray(value)])


def _declared_settings(model) -> dict:
    """Returns the declared properties of a model that change its inputs or outputs; {} if none was declared."""
    known, plain = declared(model), ModelFormat()
    changed = {name: value for name, value in vars(known).items() if value != getattr(plain, name)}
    if changed.get("input_range") in (None, (0.0, 1.0)):
        changed.pop("input_range", None)
    return {f"model.{name}": value for name, value in changed.items()}


def weights_digest(model) -> str:
    """Returns a digest of a model's weights, 16 hexadecimal digits; of all its files for a model of another make."""
    network = adapted(model.model if isinstance(model, VideoModel) else model)
    if isinstance(network, ForeignModel) and network.file is not None:
        return file_digest(network.file)
    return _digest(network.get_weights())


def _digest(arrays) -> str:
    digest = hashlib.sha256()
    for weight in arrays:
        digest.update(str((weight.shape, weight.dtype)).encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:16]
