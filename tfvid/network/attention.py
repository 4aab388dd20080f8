"""The attention of a model: which softmax weighs tokens of the clip, in which layer, and how its weights lie.

Attention is found by its softmax over tokens, in Keras' layers, KerasHub's and hand-written ones alike: the axes of
query and key are known from `tfvid.network.axis_rules`. A softmax over channels, heads or classes is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tfvid.core.errors import ModelError, unknown
from tfvid.network.axes import Axes, kinds
from tfvid.network.feature_map import FeatureCall, FeatureTrace


@dataclass(frozen=True)
class Attention:
    """One softmax over tokens, in the order in which they run.

    Attributes:
      number: its number among all softmax operations of the model; None for a layer that returns the weights.
      place: its number among all operations.
      path: the path of the innermost layer that runs it; "" outside of layers.
      shape: the shape of its weights, for `CLIPS` clips.
      axes: what the axes of its weights stand for; None if that is not known.
    """

    number: int | None
    place: int
    path: str
    shape: tuple[int, ...]
    axes: Axes | None


def find_attention(trace: FeatureTrace) -> list[Attention]:
    """Returns every attention over tokens of a model in the order in which they run.

    One whose axes are not known (in shifted windows, say) is in the list, too, if queries and keys are as many.
    """
    found, number = [], -1
    for place, op in enumerate(trace.graph.get_operations()):
        if op.type != "Softmax":
            continue
        number += 1
        tensor = op.outputs[0]
        shape, axes = tuple(tensor.shape), trace.axes.get(tensor.name)
        is_over_tokens = bool(kinds(axes.of[-1])) if axes else len(shape) > 2 and shape[-1] == shape[-2]
        if is_over_tokens:
            inside = around(trace.calls, place)
            found.append(Attention(number, place, inside[0].path if inside else "", shape, axes))
    return found


def attention_of(trace: FeatureTrace, names: Sequence[str]) -> list[Attention]:
    """Returns the attention of some layers: the softmax inside, or else the layer's output as the weights.

    Args:
      trace: a symbolic run of the model.
      names: the paths of the layers.

    Raises:
      ModelError: there is no such layer, or it neither contains a softmax over tokens nor returns weights.
    """
    every, found = find_attention(trace), []
    for name in names:
        calls = [call for call in trace.calls if call.path == name]
        if not calls:
            raise ModelError(unknown("layer", name, list(dict.fromkeys(call.path for call in trace.calls))))
        inside = [one for one in every if one.path == name or one.path.startswith(f"{name}/")]
        found += inside or [_returned(trace, calls)]
    return sorted(found, key=lambda one: one.place)


def _returned(trace: FeatureTrace, calls: list[FeatureCall]) -> Attention:
    """The output of a layer as weights."""
    call, tensor = calls[0], calls[0].tensors.output
    shape = tuple(getattr(tensor, "shape", ()))
    if len(calls) > 1 or len(shape) < 3 or shape[-1] != shape[-2]:
        raise ModelError(
            f"layer {call.path!r} contains no softmax over tokens; expected one that runs once and returns weights "
            f"(..., queries, keys), got {(None, *shape[1:])}"
        )
    return Attention(None, call.tensors.first, call.path, shape, trace.axes.get(tensor.name))


def around(calls: list[FeatureCall], place: int) -> list[FeatureCall]:
    """Returns the calls that the operation number `place` belongs to, the innermost first."""
    inside = [call for call in calls if call.tensors.first <= place < call.tensors.last]
    return sorted(inside, key=lambda call: call.tensors.last - call.tensors.first)
