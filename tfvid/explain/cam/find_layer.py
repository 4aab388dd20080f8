"""Finds the layer to explain: by its path, by its name, or the last layer that makes a feature map."""

import keras
from keras import layers

from tfvid.adapters.foreign import ForeignModel
from tfvid.core.errors import ModelError, unknown
from tfvid.network.tracing import LayerCall, distinct_layers, named_layers

# Layers that pass features on without making new ones; they are not the default layer.
PASSING = (
    *(layers.InputLayer, layers.Rescaling, layers.Normalization),
    *(layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization, layers.UnitNormalization),
    *(layers.MaxPooling2D, layers.MaxPooling3D, layers.AveragePooling2D, layers.AveragePooling3D),
    *(layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
    *(layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D),
    *(layers.Reshape, layers.Permute, layers.ZeroPadding2D, layers.ZeroPadding3D),
)


def find_layer(model: keras.Model, calls: list[LayerCall], name: str | None) -> tuple[str, keras.Layer]:
    """Returns the layer to explain.

    Args:
      model: the model.
      calls: its layer calls, in order.
      name: the layer's path, or its name; None for the last layer to run that makes a feature map larger than 1x1,
        except pooling, normalisation and reshaping.

    Returns:
      The layer's path and the layer.

    Raises:
      ModelError: there is no such layer, there are several, or it makes no feature map; the message lists the layers
        that do. Or the model has channels-first layers.
    """
    check_channels_last(model)
    _check_has_layers(model, calls)
    if name is None:
        for call in reversed(calls):
            if has_features(call) and call.is_new and not _passes(call.layer) and max(call.shape[-3:-1]) > 1:
                return call.path, call.layer
        raise ModelError("the model has no layer that makes a feature map over space; expected one of (B, T, H, W, K)")

    by_path, first_path = dict(named_layers(model)), {id(layer): path for path, layer in distinct_layers(model)}
    paths = [name] if name in by_path else [path for path in by_path if path.rpartition("/")[2] == name]
    paths = list(dict.fromkeys(first_path[id(by_path[path])] for path in paths))  # a shared layer has several paths
    if len(paths) > 1:
        raise ModelError(f"layer {name!r}: several of that name, say which: {', '.join(paths)}")
    if not paths:
        raise ModelError(unknown("layer", name, _fitting(calls)))
    shapes = [call.shape for call in calls if call.layer is by_path[paths[0]]]
    if not any(has_features(call) for call in calls if call.layer is by_path[paths[0]]):
        raise ModelError(
            f"layer {name!r} returns {shapes[-1] if shapes else 'nothing in this model'}, "
            f"expected (B, T, H, W, K) or (B, H, W, K); those that fit: {', '.join(_fitting(calls))}"
        )
    return paths[0], by_path[paths[0]]


def check_channels_last(model: keras.Model):
    """Raises ModelError if the model has a channels-first layer: `(B, K, T, H, W)` looks like `(B, T, H, W, K)`.

    One such layer suffices, since later activations and sums do not say in which order their axes are.
    """
    for path, layer in named_layers(model):
        if "channels_first" in (getattr(part, "data_format", None) for part in (layer, getattr(layer, "cell", None))):
            raise ModelError(
                f"layer {path!r} is channels-first, and features are read channels-last, (B, T, H, W, K); use a method "
                "that needs none, e.g. 'gradient' or 'occlusion'"
            )


def _check_has_layers(model: keras.Model, calls: list[LayerCall]):
    """Raises ModelError for a model of another make whose layers cannot be watched."""
    if not _fitting(calls):
        for foreign in (one for one in (model, *dict(named_layers(model)).values()) if isinstance(one, ForeignModel)):
            raise ModelError(
                f"{foreign.make}: {foreign.no_layers}; use a method that needs no layer, e.g. 'gradient' or 'occlusion'"
            )


def has_features(call: LayerCall) -> bool:
    """Returns whether the output of a call is `(B, T', H', W', K)` or `(B, H', W', K)`."""
    return call.shape is not None and len(call.shape) in (4, 5) and None not in call.shape[-3:]


def _fitting(calls: list[LayerCall]) -> list[str]:
    return list(dict.fromkeys(call.path for call in calls if has_features(call)))


def _passes(layer) -> bool:
    if isinstance(layer, layers.TimeDistributed):
        return _passes(layer.layer)
    return isinstance(layer, PASSING) or getattr(layer, "passes", False)
