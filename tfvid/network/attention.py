"""The attention of a model: which softmax weighs tokens of the clip, in which layer, and how its weights lie.

Attention is found by its softmax over tokens, in Keras' layers, KerasHub's and hand-written ones alike: the axes of
query and key are known from `tfvid.network.axis_rules`. A softmax over channels, heads or classes is none.
"""

from dataclasses import dataclass

from tfvid.network.axes import Axes, kinds
from tfvid.network.feature_map import FeatureCall, FeatureTrace


@dataclass(frozen=True)
class Attention:
    """One softmax over tokens, in the order in which they run.

    Attributes:
      number: its number among all softmax operations of the model.
      place: its number among all operations.
      path: the path of the innermost layer that runs it; "" outside of layers.
      shape: the shape of its weights, for `CLIPS` clips.
      axes: what the axes of its weights stand for; None if that is not known.
    """

    number: int
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


def around(calls: list[FeatureCall], place: int) -> list[FeatureCall]:
    """Returns the calls that the operation number `place` belongs to, the innermost first."""
    inside = [call for call in calls if call.tensors.first <= place < call.tensors.last]
    return sorted(inside, key=lambda call: call.tensors.last - call.tensors.first)
