"""A data set by its name, or from settings."""

import inspect
import os

from tfvid.core.errors import ConfigError, unknown
from tfvid.data.base import VideoDataset
from tfvid.data.datasets import DATASETS
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
        if source.records is not None:
            records = Records(source.records)
            records.check_options(source.options)
            return records
        return make_dataset(source.dataset, source.root, **source.options)
    cls = DATASETS.find(source)
    parameters = inspect.signature(cls).parameters
    accepts_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in options:
        if name not in parameters and not accepts_any:
            raise ConfigError(f"dataset {source}: {unknown('option', name, [p for p in parameters if p != 'root'])}")
    if "root" in parameters and parameters["root"].default is inspect.Parameter.empty and root is None:
        given = "root=..., --root FOLDER or data.root=FOLDER"
        raise ConfigError(f"dataset {source!r} needs the folder that it lies in: {given}")
    if root is not None:
        options = {"root": os.fspath(root)} | options
    try:
        dataset = cls(**options)
    except TypeError as error:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items() if name != "root")
        if source not in DATASETS or not given:  # an error in the class of a user, who needs the traceback
            raise
        raise ConfigError(f"dataset {source}: one of its options has the wrong type: {given} ({error})") from error
    if source not in DATASETS:
        dataset.origin = source  # a file, from which a decode process imports the class
    return dataset
