"""What values a model takes and returns, where its layers do not say it: told once, used everywhere.

Clips in tfvid are RGB in [0, 1], as `tfvid.read_clip` gives them. A model that was trained on other values is told of:

    tfvid.declare(model, input_range=(0, 255), channels="bgr")
"""

import dataclasses
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from tfvid.core.errors import TfvidError, check_choice

CHANNELS = ("rgb", "bgr")
OUTPUTS = ("auto", "logits", "probabilities")


@dataclass(frozen=True)
class ModelFormat:
    """What values a model takes and returns.

    Attributes:
      input_range: the values (low, high) that the model takes for black and white: clips in [0, 1] are scaled to them
        before the model sees them. "auto": what the model's first layers say, see `tfvid.network.input_range`, or else
        (0, 1).
        None: clips are given to the model as they are.
      channels: the order in which the model takes the colours of an RGB clip, "rgb" or "bgr".
      output: what it returns: "logits", "probabilities", or "auto", see `tfvid.network.classifier.Classifier`.

    Raises:
      TfvidError: a value that is none of these.
    """

    input_range: tuple[float, float] | str | None = "auto"
    channels: str = "rgb"
    output: str = "auto"

    def __post_init__(self):
        object.__setattr__(self, "input_range", checked_range(self.input_range))
        check_choice("channels", self.channels, CHANNELS)
        check_choice("output", self.output, OUTPUTS)


def checked_range(value) -> tuple[float, float] | str | None:
    """`value` as an `input_range`: "auto", None, or two floats of which the first is the smaller.

    Raises:
      TfvidError: anything else.
    """
    if value is None or isinstance(value, str) and value == "auto":
        return value
    try:
        low, high = map(float, value)
        if not -float("inf") < low < high < float("inf"):
            raise ValueError
    except (TypeError, ValueError):
        raise TfvidError(
            "input_range: expected the values that the model takes for black and white, e.g. (0, 255), or 'auto', or "
            f"None for clips that are given to the model as they are, got {value!r}"
        ) from None
    return low, high


_DECLARED: WeakKeyDictionary = WeakKeyDictionary()  # models -> `ModelFormat`


def declare(model, **fields):
    """Says what values `model` takes and returns; every explainer, measure and command then knows.

    Args:
      model: a Keras model. It is left unchanged: a copy of it, or the model loaded from a file it is saved to, has to
        be told again. A model card (``card.json`` beside the file) does that.
      **fields: those of `ModelFormat`: input_range, channels, output. What is not given stays as it was.

    Returns:
      `model`.

    Raises:
      TfvidError: a field or a value that does not exist.

    Example:
      >>> model = tfvid.declare(keras.models.load_model("lrcn.keras"), input_range=(0, 255), channels="bgr")
      >>> tfvid.GradCAM(model)(clips)  # clips in [0, 1]
    """
    for name in fields:
        check_choice("a model's field", name, [field.name for field in dataclasses.fields(ModelFormat)])
    known = dataclasses.replace(declared(model), **fields)
    try:
        _DECLARED[model] = known
    except TypeError:
        raise TfvidError(
            f"expected a Keras model, got {type(model).__name__}: give the explainer these values"
        ) from None
    return model


def declared(model) -> ModelFormat:
    """What was said of `model`; the defaults where nothing was."""
    try:
        return _DECLARED.get(model, ModelFormat())
    except TypeError:  # a callable that cannot be a key, which nobody can have declared
        return ModelFormat()
