"""The card that travels with a model: what its inputs and outputs mean. Plain JSON, no pickle, no TensorFlow."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from tfvid.errors import ModelError, unknown


@dataclass(frozen=True)
class ModelCard:
    """What a trained model was made for.

    Attributes:
      name: of the run that trained it.
      class_names: tuple of K names, in the order of the logits.
      num_frames: frames a clip, T; None where the model takes any.
      size: frame (H, W) in pixels; None where the model takes any.
      dataset: name of the dataset it was trained on; "" where it is not known.
      layer: the layer Grad-CAM explains; None leaves the choice to `tfvid.GradCAM`.
      reverse_labels: label after the clip is played backwards, by label; None where it is not known.
      metrics: validation results by name.
    """

    name: str
    class_names: tuple[str, ...]
    num_frames: int | None
    size: tuple[int, int] | None
    dataset: str = ""
    layer: str | None = None
    reverse_labels: dict[int, int] | None = None
    metrics: dict[str, float] = field(default_factory=dict)

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
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot read the model card ({error})") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: a model card is one JSON object")
    for name in values:
        if name not in names:
            raise ModelError(f"{path}: {unknown('field', name, names)}")
    for name, required in names.items():
        if required and name not in values:
            raise ModelError(f"{path}: field {name!r} is missing")
    try:
        return ModelCard(**values | _typed(values))
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: a field of the wrong type ({error})") from error


def _typed(values: dict) -> dict:
    """The fields JSON cannot hold as they are: tuples, and integer keys."""
    size, reverse = values["size"], values.get("reverse_labels")
    return {
        "class_names": tuple(str(name) for name in values["class_names"]),
        "size": None if size is None else (int(size[0]), int(size[1])),
        "num_frames": None if values["num_frames"] is None else int(values["num_frames"]),
        "reverse_labels": None if reverse is None else {int(a): int(b) for a, b in reverse.items()},
    }
