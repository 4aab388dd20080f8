"""Loads the models of an experiment, in groups."""

from collections.abc import Sequence

from tfvid.config import GroupConfig, NetworkConfig
from tfvid.models.loaded import Loaded, load_models


def load_groups(
    groups: Sequence[GroupConfig | NetworkConfig], num_frames: int, size: tuple[int, int]
) -> dict[str, list[Loaded]]:
    """Loads the models of each group.

    Args:
      groups: the groups; a network of the benchmark is a group of one model.
      num_frames: frames per clip of a model that accepts any length.
      size: frame (H, W) in pixels of a model that accepts any size.

    Returns:
      The models by the name of the group.

    Raises:
      ModelError: a model cannot be loaded.
      ConfigError: two models have the same name.
    """
    paths = [path for group in groups for path in group.paths]
    options = [group.load_options() for group in groups for _ in group.paths]
    models = iter(load_models(paths, num_frames, size, options))
    return {group.name: [next(models) for _ in group.paths] for group in groups}
