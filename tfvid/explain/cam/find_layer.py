"""Finds the layer to explain: by its path, by its name, or the one that a person would choose.

In a convolutional model that is the last layer that makes a feature map. In a transformer it is the last block's tokens
before its attention, the input of the block's first normalisation: behind the last attention of a model with a class
token, other tokens no longer lead to the scores. A layer inside the attention is never chosen: softmax weights and
projections of values are no feature maps.
"""

from dataclasses import dataclass

import keras
from keras import layers

from tfvid.adapters.foreign import ForeignModel
from tfvid.core.errors import ModelError, unknown
from tfvid.network.attention import Attention, around, find_attention
from tfvid.network.axes import kinds
from tfvid.network.described import Described
from tfvid.network.feature_map import FeatureCall, FeatureMap, FeatureTrace
from tfvid.network.tracing import distinct_layers, named_layers, source

NORMALIZATIONS = (
    *(layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization, layers.UnitNormalization),
    layers.RMSNormalization,
)
# Layers that pass features on without making new ones; they are not the default layer.
PASSING = (
    *(layers.InputLayer, layers.Rescaling, layers.Normalization, *NORMALIZATIONS),
    *(layers.MaxPooling2D, layers.MaxPooling3D, layers.AveragePooling2D, layers.AveragePooling3D),
    *(layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
    *(layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D),
    *(layers.Reshape, layers.Permute, layers.ZeroPadding2D, layers.ZeroPadding3D),
)
CONVOLUTIONS = (
    *(layers.Conv2D, layers.Conv3D, layers.DepthwiseConv2D, layers.SeparableConv2D),
    *(layers.Conv2DTranspose, layers.Conv3DTranspose, layers.ConvLSTM2D),
)
LAST_MAP = "the last layer that makes a feature map larger than 1x1"
LAST_BLOCK = "the tokens that the last attention over places reads; those behind it may not lead to the scores"
NAMED = "chosen by its name"


@dataclass(frozen=True)
class Chosen:
    """The layer to explain.

    Attributes:
      path: its path.
      layer: the layer.
      at: "output" or "input", which of its tensors is explained.
      why: why this one, in words.
    """

    path: str
    layer: keras.Layer
    at: str
    why: str

    @property
    def words(self) -> str:
        """``"conv"``, or ``"input of norm"``."""
        return self.path if self.at == "output" else f"input of {self.path}"


def find_layer(model: keras.Model, trace: FeatureTrace, name: str | None, at: str = "output") -> Chosen:
    """Returns the layer to explain.

    Args:
      model: the model.
      trace: its layer calls, from `trace_features`.
      name: the layer's path, or its name; None for the one that a person would choose.
      at: for a layer with a name, which of its tensors is explained, "output" or "input".

    Raises:
      ModelError: there is no such layer, there are several, or it makes no feature map; the message lists the layers
        that do.
    """
    _check_has_layers(model, trace)
    if name is None:
        return _default(trace)
    by_path, first_path = dict(named_layers(model)), {id(layer): path for path, layer in distinct_layers(model)}
    paths = [name] if name in by_path else [path for path in by_path if path.rpartition("/")[2] == name]
    paths = list(dict.fromkeys(first_path[id(by_path[path])] for path in paths))  # a shared layer has several paths
    if len(paths) > 1:
        raise ModelError(f"layer {name!r}: several of that name, say which: {', '.join(paths)}")
    if not paths:
        raise ModelError(unknown("layer", name, _fitting(trace, at)))
    layer = by_path[paths[0]]
    calls = [call for call in trace.calls if call.layer is layer]
    if not any(of(call, at) for call in calls):
        raise ModelError(_no_map(name, calls, at, _fitting(trace, at)))
    return Chosen(paths[0], layer, at, NAMED)


def of(call: FeatureCall, at: str) -> FeatureMap | None:
    """Returns how the output or the input of a call lies on the clip."""
    return call.output if at == "output" else call.input


def _check_has_layers(model: keras.Model, trace: FeatureTrace):
    """Raises ModelError for a model whose layers cannot be watched: it runs in a loop, or is of another make."""
    if isinstance(model, Described) and model.batch_size is not None:
        raise ModelError(
            f"the model works for exactly {model.batch_size} clips at a time, so it runs in a loop, in which its "
            "layers cannot be watched; use a method that needs no layer, e.g. 'gradient' or 'occlusion', or build the "
            "model for any batch size"
        )
    if not _fitting(trace, "output"):
        for foreign in (one for one in (model, *dict(named_layers(model)).values()) if isinstance(one, ForeignModel)):
            raise ModelError(
                f"{foreign.make}: {foreign.no_layers}; use a method that needs no layer, e.g. 'gradient' or 'occlusion'"
            )


def _no_map(name: str, calls: list[FeatureCall], at: str, fitting: list[str]) -> str:
    verb, tensor = ("returns", "output") if at == "output" else ("takes", "input")
    if not calls:
        shape = "nothing in this model"
    else:
        given = getattr(calls[-1].tensors, tensor)
        sizes = getattr(given, "shape", None)
        shape = "several tensors" if sizes is None else str((None, *tuple(sizes)[1:]))
    return (
        f"layer {name!r} {verb} {shape}, expected a feature map, (B, T, H, W, K) or (B, H, W, K), or tokens whose "
        f"place in the clip is known; tokens=(T', h', w') says how tokens (B, N, D) lie; those "
        f"that fit: {', '.join(fitting)}"
    )


def _default(trace: FeatureTrace) -> Chosen:
    """The layer that a person would choose."""
    attention = find_attention(trace)
    block, end = None, -1
    for one in reversed(attention):
        block = _before_attention(trace, one)
        if block is not None:
            end = one.place
            break
    inside = _inside(trace, attention)
    for call in reversed(trace.calls):
        if block is not None and (call.tensors.first <= end or not _convolves(call.layer)):
            continue
        is_map = call.output is not None and call.output.is_spatial and call.is_new
        if is_map and not _passes(call.layer) and not any(call is other for other in inside):
            return Chosen(call.path, call.layer, "output", LAST_MAP)
    if block is not None:
        return block
    raise ModelError(
        "the model has no layer that makes a feature map over space, (B, T, H, W, K) or tokens whose place in the clip "
        "is known; layer=... chooses one, and tokens=(T', h', w') says how its tokens (B, N, D) lie"
    )


def _before_attention(trace: FeatureTrace, attention: Attention) -> Chosen | None:
    """The tokens that enter the block of an attention, if they lie on several places of a frame."""
    if attention.axes and not any(kinds(axis) & {"H", "W"} for axis in attention.axes.of):
        return None  # over time alone
    norms = [call for call in trace.calls if is_norm(call.layer) and _has_tokens(call.input, trace)]
    call = _layer_of(trace, attention)
    if call is None:  # written in a functional model's or the model's own code
        before = [norm for norm in norms if norm.tensors.last <= attention.place]
        return _input(before[-1]) if before else None
    tokens = source(call.tensors.input)
    read = [norm for norm in norms if source(norm.tensors.output) is tokens]
    return _input(read[-1] if read else call)


def _layer_of(trace: FeatureTrace, attention: Attention) -> FeatureCall | None:
    """The innermost layer around an attention that takes tokens: the layer of attention, or its block."""
    inside = around(trace.calls, attention.place)
    return next((call for call in inside if _has_tokens(call.input, trace)), None)


def _has_tokens(found: FeatureMap | None, trace: FeatureTrace) -> bool:
    """Whether a tensor is a map of several places of a frame, not the pixels themselves."""
    return found is not None and found.is_spatial and found.grid[1:] != trace.frame


def _input(call: FeatureCall) -> Chosen:
    return Chosen(call.path, call.layer, "input", LAST_BLOCK)


def _inside(trace: FeatureTrace, attention: list[Attention]) -> list[FeatureCall]:
    """The calls inside layers of attention."""
    found = []
    for one in attention:
        outer = _layer_of(trace, one)
        if outer is not None:
            first, last = outer.tensors.first, outer.tensors.last
            found += [call for call in trace.calls if first <= call.tensors.first and call.tensors.last <= last]
    return found


def is_norm(layer: keras.Layer) -> bool:
    """Whether a layer normalises features: one of Keras', or another by its name."""
    return isinstance(layer, NORMALIZATIONS) or type(layer).__name__.endswith(("Norm", "Normalization"))


def _fitting(trace: FeatureTrace, at: str) -> list[str]:
    return list(dict.fromkeys(call.path for call in trace.calls if of(call, at)))


def _convolves(layer) -> bool:
    layer = layer.layer if isinstance(layer, layers.TimeDistributed) else layer
    return isinstance(layer, CONVOLUTIONS)


def _passes(layer) -> bool:
    if isinstance(layer, layers.TimeDistributed):
        return _passes(layer.layer)
    return isinstance(layer, PASSING) or getattr(layer, "passes", False)
