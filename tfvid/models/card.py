"""The model card: a JSON file that describes the inputs and outputs of a model. Reading it does not need TensorFlow."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from tfvid.core.errors import ModelError, unknown
from tfvid.network.model_format import CHANNELS, GREY, OUTPUTS


@dataclass(frozen=True)
class ModelCard:
    """Describes the inputs, the outputs and the training data of a model.

    Attributes:
      name: the name of the training run.
      class_names: tuple of K names, in the order of the logits. A model with one output unit has two names, of class
        0 and class 1.
      num_frames: frames per clip, T; None if the model accepts any number.
      size: frame (H, W) in pixels; None if the model accepts any size.
      dataset: name of the training dataset; "" if unknown.
      layer: the layer that Grad-CAM explains; None: `tfvid.GradCAM` chooses it.
      reverse_labels: for each label, the label of the clip played backwards; None if unknown.
      metrics: validation results by name.
      note: what a reader of the model's answers must know, in one or two sentences: what it was trained on, and what
        its answers mean elsewhere. `tfvid explain` prints it and shows it on the page.
      input_range: the model's input range: the values (low, high) of black and white. Clips in [0, 1] are scaled to
        this range. None: the range of the model's first layers, or (0, 1) if these do not determine it.
      channels: the colours of the input, "rgb", "bgr" or "grey".
      output: what the scores are, see `tfvid.VideoModel`; "auto" if the last layer determines it.
      layout: the order of the input's axes, see `tfvid.VideoModel`.
      head: the output that is explained, by name or place, of a model with several; None for a model with one.
      frames: of a model that returns scores of each frame: a frame, a span (start, stop), or "all"; else None.
    """

    name: str
    class_names: tuple[str, ...]
    num_frames: int | None
    size: tuple[int, int] | None
    dataset: str = ""
    layer: str | None = None
    reverse_labels: dict[int, int] | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    note: str = ""
    input_range: tuple[float, float] | None = None
    channels: str = "rgb"
    output: str = "auto"
    layout: str = "THWC"
    head: str | int | None = None
    frames: int | tuple[int, int] | str | None = None

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"


def read_card(path: str | Path) -> ModelCard:
    """Reads ``card.json``.

    Raises:
      ModelError: the file cannot be read, is not JSON, or has missing, unknown or mistyped fields.
    """
    path = Path(path)
    names = {f.name: f.default is dataclasses.MISSING for f in dataclasses.fields(ModelCard)}
    names["metrics"] = False  # optional, but its default is a factory
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


# For each field: a test of its JSON value, and a description of valid values.
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
    "note": (_is_text, "text"),
    "input_range": (
        lambda value: (
            value is None
            or (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and value[0] < value[1])
        ),
        "[lowest, highest] pixel value, or null",
    ),
    "channels": (lambda value: value in (*CHANNELS, GREY), ", ".join((*CHANNELS, GREY))),
    "output": (lambda value: value in OUTPUTS, ", ".join(OUTPUTS)),
    "layout": (lambda value: isinstance(value, str), "an order of axes such as THWC or CTHW"),
    "head": (lambda value: value is None or _is_text(value) or type(value) is int, "text, a whole number, or null"),
    "frames": (
        lambda value: (
            value in (None, "all")
            or type(value) is int
            or (isinstance(value, list) and len(value) == 2 and all(type(one) is int for one in value))
        ),
        'a frame, [start, stop], "all", or null',
    ),
}


def _as_python(values: dict) -> dict:
    """Converts the fields that JSON cannot represent: tuples and integer keys."""
    size, reverse, pixels = values["size"], values.get("reverse_labels"), values.get("input_range")
    frames = values.get("frames")
    return {
        "class_names": tuple(values["class_names"]),
        "size": None if size is None else tuple(size),
        "reverse_labels": None if reverse is None else {int(a): b for a, b in reverse.items()},
        "input_range": None if pixels is None else (float(pixels[0]), float(pixels[1])),
        "frames": tuple(frames) if isinstance(frames, list) else frames,
    }
