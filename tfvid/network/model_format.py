"""The values that a model takes and returns, declared once for all explainers, measures and commands.

Clips in tfvid are RGB in [0, 1], as `tfvid.read_clip` returns them. Declare a model that was trained on other values:

    tfvid.declare(model, input_range=(0, 255), channels="bgr")
"""

import dataclasses
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from tfvid.core.errors import TfvidError, check_choice

CHANNELS = ("rgb", "bgr")
GREY = "grey"  # one channel; a `tfvid.VideoModel` converts the clips
# "logits" and "probabilities" are of classes that exclude one another, "sigmoid_logits" and "sigmoid" of independent
# classes; "score" is any number.
OUTPUTS = ("auto", "logits", "probabilities", "sigmoid_logits", "sigmoid", "score")


@dataclass(frozen=True)
class ModelFormat:
    """The values that a model takes and returns.

    Attributes:
      input_range: the values (low, high) that the model expects for black and white; clips in [0, 1] are scaled
        to them. None: the model gets clips unchanged. "auto": what the model's first layers say, see
        `tfvid.network.input_range`, or else None.
      channels: the colour order that the model expects, "rgb" or "bgr".
      output: what the model returns: one of `OUTPUTS`, see `tfvid.network.classifier.Classifier`. "auto": what its last
        layer implies.

    Raises:
      TfvidError: another value.
    """

    input_range: tuple[float, float] | str | None = "auto"
    channels: str = "rgb"
    output: str = "auto"

    def __post_init__(self):
        object.__setattr__(self, "input_range", checked_range(self.input_range))
        check_choice("channels", self.channels, CHANNELS)
        check_choice("output", self.output, OUTPUTS)


def checked_range(value) -> tuple[float, float] | str | None:
    """Returns `value` as an `input_range`: "auto", None, or two floats, the smaller one first.

    Raises:
      TfvidError: another value.
    """
    if value is None or isinstance(value, str) and value == "auto":
        return value
    try:
        low, high = map(float, value)
        if not -float("inf") < low < high < float("inf"):
            raise ValueError
    except (TypeError, ValueError):
        raise TfvidError(
            "input_range: expected the values that the model expects for black and white, e.g. (0, 255), or 'auto', or "
            f"None for clips that are given to the model as they are, got {value!r}"
        ) from None
    return low, high


_DECLARED: WeakKeyDictionary = WeakKeyDictionary()  # models -> `ModelFormat`


def declare(model, **fields):
    """Declares the values that `model` takes and returns, for all explainers, measures and commands.

    Args:
      model: a Keras model. It stays unchanged, so a copy of it, and the model loaded from its file, must be declared
        again. A model card (``card.json`` beside the file) does so.
      **fields: fields of `ModelFormat`: input_range, channels, output. Other fields keep their values.

    Returns:
      `model`.

    Raises:
      TfvidError: a field or a value that does not exist, or an object that is not a Keras model.

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
    """Returns what was declared of `model`; the defaults if nothing was."""
    try:
        return _DECLARED.get(model, ModelFormat())
    except TypeError:  # a callable that cannot be a key, so `declare` refused it
        return ModelFormat()
