"""The settings that a record depends on: options of explainers, the description of the model, and its weights."""

import dataclasses
import hashlib
import inspect
from collections.abc import Mapping

import numpy as np

from tfvid.adapters.foreign import ForeignModel
from tfvid.adapters.makes import adapted
from tfvid.core.errors import ConfigError, unknown
from tfvid.experiments.clip_explainers import GRAD_CAM
from tfvid.explain.base import Attribution
from tfvid.explain.explainers import EXPLAINERS
from tfvid.explain.recorded_options import explainer_options
from tfvid.models.foreign_files import file_digest
from tfvid.network.model_format import ModelFormat, declared
from tfvid.network.video_model import VideoModel


def record_options(mask: Mapping, methods: Mapping[str, Mapping]) -> dict:
    """Returns the options of the explainers that records depend on.

    Of Grad-CAM and the temporal mask these are all options. Of another method they are its name and the given options.

    Args:
      mask: options of `tfvid.TemporalMask`.
      methods: the methods of maps, each with its options.

    Raises:
      ConfigError: an option that does not exist, or a method without maps.
      TfvidError: an unknown method.
    """
    options = explainer_options(mask, methods.get(GRAD_CAM, {}))
    if GRAD_CAM not in methods:
        options = {name: value for name, value in options.items() if not name.startswith(f"{GRAD_CAM}.")}
    for name, given in methods.items():
        if name != GRAD_CAM:
            options |= _given_options(name, given)
    # Records of Grad-CAM alone do not name their method, as in earlier versions.
    return options if list(methods) == [GRAD_CAM] else options | {"maps": ", ".join(methods)}


def _given_options(name: str, given: Mapping) -> dict:
    """Returns the given options of a method of maps as ``"rise.masks"``, without those that do not change results."""
    method = EXPLAINERS.find(name)
    if not issubclass(method.result_type, Attribution):
        raise ConfigError(f"maps: expected a method that makes a map for each frame, such as 'gradient', got {name!r}")
    prefix = name.rpartition(":")[2]
    valid = [f"{prefix}.{key}" for key in inspect.signature(method).parameters if key != "model"]
    options = {f"{prefix}.{key}": value for key, value in given.items()}
    for key in options:
        if key not in valid:
            raise ConfigError(unknown("option", key, valid))
    options.pop(f"{prefix}.batch_size", None)
    return options


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
