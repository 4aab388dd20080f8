"""Trained models together with what must be known to use them on a dataset: their clips and their classes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfvid.config import LoadConfig
from tfvid.core.errors import ConfigError, ModelError
from tfvid.models.card import ModelCard


@dataclass(frozen=True)
class Loaded:
    """A model with what it needs to know.

    Attributes:
      name: from its card.
      path: where it was loaded from.
      model: the Keras model.
      card: see `ModelCard`.
      num_frames: frames a clip.
      size: frame (H, W) in pixels.
      load: what was said of it besides its card.
    """

    name: str
    path: Path
    model: object
    card: ModelCard
    num_frames: int
    size: tuple[int, int]
    load: LoadConfig = LoadConfig()

    def labels(self, class_names: Sequence[str], wanted: Iterable[int]) -> tuple[dict[int, int], tuple[str, ...]]:
        """The model's label by the dataset's, for those `wanted`, and the names of the model's classes.

        Args:
          class_names: the dataset's.
          wanted: labels of the dataset.

        Raises:
          ModelError: the model does not know a class that is wanted.
        """
        known, wanted = self.card.class_names, sorted(set(wanted))
        if all(class_names[label] in known for label in wanted):
            return {label: known.index(class_names[label]) for label in wanted}, known
        if not self.card.dataset and len(known) == len(class_names):  # no card came with it: its classes have no names
            return {label: label for label in wanted}, tuple(class_names)
        lacking = next(class_names[label] for label in wanted if class_names[label] not in known)
        raise ModelError(f"{self.path}: the model knows no class {lacking!r}; leave its clips out")


def load_model_as(path: str | Path, load: LoadConfig):
    """The model at `path` with its own layers, declared to be what `load` and its card say.

    Returns:
      The Keras model and its `ModelCard`.

    Raises:
      ModelError: see `tfvid.load_model` and `load_custom`.
    """
    from tfvid.models.custom import load_custom
    from tfvid.models.loading import load_card, load_model
    from tfvid.network.model_format import declare

    model = load_model(path, compile=False, custom_objects=load_custom(load.custom) if load.custom else None)
    card = load_card(path, model)
    said = {"channels": load.channels, "output": load.output} | {"input_range": load.input_range or "auto"}
    declare(model, **{name: value for name, value in said.items() if value != "auto"})
    return model, card


def load_models(
    paths: Iterable[str | Path],
    num_frames: int,
    size: tuple[int, int],
    load: LoadConfig | Sequence[LoadConfig] | None = None,
) -> list[Loaded]:
    """Loads models that go by their cards' names.

    Args:
      paths: as for `tfvid.load_model`.
      num_frames: for a model that takes any number.
      size: for a model that takes any size.
      load: what is said of the models besides their cards: of all, or of each; None for nothing.

    Raises:
      ModelError: see `tfvid.load_model`.
      ConfigError: two of one name.
    """
    paths, loaded = list(map(Path, paths)), []
    load = load or LoadConfig()
    for path, said in zip(paths, [load] * len(paths) if isinstance(load, LoadConfig) else load, strict=True):
        model, card = load_model_as(path, said)
        frames, own_size = card.num_frames or num_frames, card.size or size
        loaded.append(Loaded(card.name, path, model, card, frames, tuple(own_size), said))
    names = [model.name for model in loaded]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two models are called {name!r}, see the card.json beside each; give one another name")
    return loaded
