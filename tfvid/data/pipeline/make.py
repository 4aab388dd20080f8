"""A data set by its name, or from settings."""

from tfvid.core.errors import ConfigError
from tfvid.data.base import VideoDataset
from tfvid.data.datasets import named_dataset
from tfvid.data.records.read import Records
from tfvid.data.settings import DataConfig


def make_dataset(source, root=None, **options) -> VideoDataset:
    """Makes a data set by its name, or from a `DataConfig`.

    Args:
      source: a name in `DATASETS`, ``"my_file.py:MyDataset"``, or a `DataConfig`. If the `DataConfig` has `records`,
        the data set reads those shards.
      root: the folder of the data set; None for a generated one.
      options: further keyword arguments of the data set.

    Raises:
      ConfigError: the data set has no such option, an option has the wrong type, or the root is missing.
      TfvidError: there is no such data set, or its files are not as expected.
    """
    if isinstance(source, DataConfig):
        if source.events == "windowed":
            return _windowed(source)
        if source.records is not None:
            records = Records(source.records)
            records.check_options(source.options)
            return records
        return make_dataset(source.dataset, source.root, **source.options)
    return named_dataset(source, root, **options)


def _windowed(config: DataConfig) -> VideoDataset:
    """Returns the data set of a configuration with motion in windows only."""
    if config.records is not None:
        raise ConfigError(
            "data.events windowed changes clips as they are read from videos, and data.records holds clips that were "
            "read: leave one of them out, or write shards of the data set 'windowed'"
        )
    options = {"dataset": config.dataset, "options": dict(config.options)}
    return named_dataset("windowed", config.root, **options)
