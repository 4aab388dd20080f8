"""The size of the clips that a model states before it runs."""

from tfvid.network.described import Described
from tfvid.network.video_model import network_of

OPEN = (None, None, None, None)


def input_shape(model) -> tuple[int | None, ...] | None:
    """Returns the shape of the input that gets the clips, the batch first; None if the model states none.

    The axes are those of tfvid's clips if the model is a `tfvid.VideoModel` with another layout, else those of the
    model's input, whatever their number.

    Args:
      model: a Keras model, a `tfvid.VideoModel`, or a function of clips. A subclassed model and a function state
        nothing, and a model of several inputs does not say which one gets the clips.

    Raises:
      ModelError: a `tfvid.VideoModel` whose layout does not fit the model's input.
    """
    network = network_of(model)
    if isinstance(network, Described):
        return (None, *network.clip_shape)
    inputs = getattr(network, "inputs", None) or []
    if len(inputs) != 1 or getattr(inputs[0].shape, "rank", 0) is None:
        return None
    return tuple(inputs[0].shape)


def clip_shape(model) -> tuple[int | None, int | None, int | None, int | None]:
    """Returns `(T, H, W, C)` of the clips, None for each size that the model leaves open or does not state.

    Args:
      model: as in `input_shape`.
    """
    stated = input_shape(model)
    return (stated[1], stated[2], stated[3], stated[4]) if stated is not None and len(stated) == 5 else OPEN
