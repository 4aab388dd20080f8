"""The card that travels with a model: what its inputs and outputs mean. Plain JSON, no pickle, no TensorFlow."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from tfvid.core.errors import ModelError, unknown
from tfvid.network.model_format import CHANNELS, OUTPUTS


@dataclass(frozen=True)
class ModelCard:
    """What a trained model was made for.

    Attributes:
      name: of the run that trained it.
      class_names: tuple of K names, in the order of the logits; of a model with one output unit, those of 0 and 1.
      num_frames: frames a clip, T; None where the model takes any.
      size: frame (H, W) in pixels; None where the model takes any.
      dataset: name of the dataset it was trained on; "" where it is not known.
      layer: the layer Grad-CAM explains; None leaves the choice to `tfvid.GradCAM`.
      reverse_labels: label after the clip is played backwards, by label; None where it is not known.
      metrics: validation results by name.
      input_range: the values (low, high) that the model takes for black and white; clips in [0, 1] are scaled to them.
        None: what its first layers say, or else (0, 1).
      channels: the order of the colours that it takes, "rgb" or "bgr".
      output: what it returns, "logits", "probabilities", or "auto" where its last layer says it.
    """

    name: str
    class_names: tuple[str, ...]
    num_frames: int | None
    size: tuple[int, int] | None
    dataset: str = ""
    layer: str | None = None
    reverse_labels: dict[int, int] | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    input_range: tuple[float, float] | None = None
    channels: str = "rgb"
    output: str = "auto"

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"


def read_card(path: str | Path) -> ModelCard:
    """Reads ``card.json``.

    Raises:
      ModelError: the file cannot be read, is not JSON, or has missing, unknown or mistyped fields.
    """
    path = Path(path)
    names = {f.name: f.default is dataclasses.MISSING for f in dataclasses.fields(ModelCard)}
    names["metrics"] = False  # its default is a factory
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot read the model card ({error})") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: a model card is one JSON object")
    for name in values:
        if name not in names:
            raise ModelError(f"{path}: {unknown('field', name, names)}")
    for name, required in names.items():
        if required and name not in values:
            raise ModelError(f"{path}: field {name!r} is missing")
    for name, value in values.items():
        is_right, expected = EXPECTED[name]
        if not is_right(value):
            raise ModelError(f"{path}: field {name!r}: a value of the wrong type; expected {expected}")
    labels = range(len(values["class_names"]))
    reverse = values.get("reverse_labels") or {}
    if not all(int(a) in labels and b in labels for a, b in reverse.items()):
        raise ModelError(f"{path}: field 'reverse_labels': expected labels of {len(labels)} classes")
    return ModelCard(**values | _as_python(values))


def _is_count(value) -> bool:
    return type(value) is int and 1 <= value < 2**31


def _is_text(value) -> bool:
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_mapping(value, is_key, is_value) -> bool:
    return isinstance(value, dict) and all(is_key(name) and is_value(item) for name, item in value.items())


# Of each field: what its JSON must be, as a test and in words.
EXPECTED = {
    "name": (_is_text, "text"),
    "class_names": (lambda value: isinstance(value, list) and all(map(_is_text, value)), "a list of names"),
    "num_frames": (lambda value: value is None or _is_count(value), "a whole number, 1 or more, or null"),
    "size": (
        lambda value: value is None or (isinstance(value, list) and len(value) == 2 and all(map(_is_count, value))),
        "[height, width] in pixels, or null",
    ),
    "dataset": (_is_text, "text"),
    "layer": (lambda value: value is None or _is_text(value), "text or null"),
    "reverse_labels": (
        lambda value: (
            value is None or _is_mapping(value, re.compile("[0-9]{1,9}").fullmatch, lambda to: type(to) is int)
        ),
        "labels by label, or null",
    ),
    "metrics": (lambda value: _is_mapping(value, _is_text, _is_number), "numbers by name"),
    "input_range": (
        lambda value: (
            value is None
            or (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and value[0] < value[1])
        ),
        "[lowest, highest] pixel value, or null",
    ),
    "channels": (lambda value: value in CHANNELS, " or ".join(CHANNELS)),
    "output": (lambda value: value in OUTPUTS, " or ".join(OUTPUTS)),
}


def _as_python(values: dict) -> dict:
    """The fields JSON cannot hold as they are: tuples, and integer keys."""
    size, reverse, pixels = values["size"], values.get("reverse_labels"), values.get("input_range")
    return {
        "class_names": tuple(values["class_names"]),
        "size": None if size is None else tuple(size),
        "reverse_labels": None if reverse is None else {int(a): b for a, b in reverse.items()},
        "input_range": None if pixels is None else (float(pixels[0]), float(pixels[1])),
    }
