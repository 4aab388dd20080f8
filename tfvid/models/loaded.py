"""Loaded models with the properties that a dataset must match: clip length, frame size and classes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfvid.core.errors import ConfigError, ModelError
from tfvid.models.card import ModelCard


@dataclass(frozen=True)
class Loaded:
    """A loaded model.

    Attributes:
      name: the name in the model's card.
      path: the path it was loaded from.
      model: the Keras model.
      card: see `ModelCard`.
      num_frames: frames per clip.
      size: frame (H, W) in pixels.
      options: the keyword arguments of `load_model_as` with which it was loaded.
    """

    name: str
    path: Path
    model: object
    card: ModelCard
    num_frames: int
    size: tuple[int, int]
    options: Mapping[str, object] = field(default_factory=dict)

    def labels(self, class_names: Sequence[str], wanted: Iterable[int]) -> tuple[dict[int, int], tuple[str, ...]]:
        """Maps labels of a dataset to labels of this model.

        Args:
          class_names: of the dataset, in label order.
          wanted: the labels of the dataset to map.

        Returns:
          The model's label by the dataset's label, and the model's class names.

        Raises:
          ModelError: the model has no class with the name of a wanted label.
        """
        known, wanted = self.card.class_names, sorted(set(wanted))
        if all(class_names[label] in known for label in wanted):
            return {label: known.index(class_names[label]) for label in wanted}, known
        if not self.card.dataset and len(known) == len(class_names):  # without a card file, classes have no names
            return {label: label for label in wanted}, tuple(class_names)
        lacking = next(class_names[label] for label in wanted if class_names[label] not in known)
        raise ModelError(f"{self.path}: the model knows no class {lacking!r}; leave its clips out")


def load_model_as(
    path: str | Path,
    *,
    input_range: tuple[float, float] | None = None,
    channels: str = "auto",
    output: str = "auto",
    custom: str | None = None,
    describe: str | None = None,
):
    """Loads a model, and declares its input range, colour order and output.

    Args:
      path: a ``.keras`` or HDF5 file, or a folder of a run, a saved model or a checkpoint, see `tfvid.load_model`.
      input_range: the model's input range: the values (low, high) of black and white. None: the range in the model's
        card, or else that of its first layers.
      channels: the colour order of the input, "rgb" or "bgr"; "auto": the order in the card.
      output: what the model returns, "logits" or "probabilities"; "auto": as stated in the card, or determined by the
        last layer.
      custom: a Python file that defines the model's custom layers and functions. The file is run.
      describe: ``"my_file.py:name"``, a function in a Python file from the loaded model to its `tfvid.VideoModel`, for
        what a card cannot say: other inputs, preprocessing, a score. The file is run.

    Returns:
      The Keras model, or a `tfvid.VideoModel` of it, and its `ModelCard`.

    Raises:
      ModelError: the model or a file cannot be loaded, or `describe` returns something else.
    """
    from tfvid.models.custom import load_custom
    from tfvid.models.loading import described_by, load_card, load_model
    from tfvid.network.model_format import declare

    model = load_model(path, compile=False, custom_objects=load_custom(custom) if custom else None)
    given = {"channels": channels, "output": output, "input_range": input_range or "auto"}
    declare(model, **{name: value for name, value in given.items() if value != "auto"})
    if describe is not None:
        model = _described(model, describe)
    card = load_card(path, model)
    return described_by(card, model), card


def _described(model, describe: str):
    """The `VideoModel` that the user's function returns for `model`."""
    from tfvid.core.registry import Registry
    from tfvid.network.video_model import VideoModel

    described = Registry("description", {}).find(describe)(model)
    if not isinstance(described, VideoModel):
        raise ModelError(f"{describe}: expected a function that returns a tfvid.VideoModel, got {described!r}")
    return described


def load_models(
    paths: Iterable[str | Path],
    num_frames: int,
    size: tuple[int, int],
    options: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
) -> list[Loaded]:
    """Loads several models. The card of each model gives its name.

    Args:
      paths: files or folders of models, see `tfvid.load_model`.
      num_frames: frames per clip of a model that accepts any length.
      size: frame (H, W) in pixels of a model that accepts any size.
      options: keyword arguments of `load_model_as`: one mapping for all models, or one for each.

    Raises:
      ModelError: a model cannot be loaded.
      ConfigError: two models have the same name.
    """
    places, loaded = list(map(Path, paths)), []
    each = [options or {}] * len(places) if isinstance(options, Mapping | None) else options
    for path, own in zip(places, each, strict=True):
        model, card = load_model_as(path, **own)
        frames, own_size = card.num_frames or num_frames, card.size or size
        loaded.append(Loaded(card.name, path, model, card, frames, tuple(own_size), own))
    names = [model.name for model in loaded]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"expected models of different names, got two called {name!r}; change the name in one's card.json"
            )
    return loaded
