"""The registry of data sets."""

import inspect
import os

from tfvid.core.errors import ConfigError, unknown
from tfvid.core.registry import Registry
from tfvid.data.base import VideoDataset

DATASETS = Registry(
    "dataset",
    {
        "shapes": "tfvid.data.sources.shapes:MovingShapes",
        "something": "tfvid.data.sources.something:SomethingSomething",
        "kth": "tfvid.data.sources.kth:KTH",
        "ucf101": "tfvid.data.sources.ucf101:UCF101",
        "epic_kitchens": "tfvid.data.sources.epic_kitchens:EpicKitchens",
        "folder": "tfvid.data.sources.folder:ClassFolders",
        "weizmann": "tfvid.data.sources.weizmann:Weizmann",
        "composite": "tfvid.data.sources.composite:Composite",
        "fight_surv": "tfvid.data.sources.fight_surv:FightSurv",
        "windowed": "tfvid.data.sources.windowed:Windowed",
        "csv": "tfvid.data.sources.csv_list:CSVList",
    },
    group="tfvid.datasets",
)


def named_dataset(name, root=None, **options) -> VideoDataset:
    """Makes a data set by its name.

    Args:
      name: a name in `DATASETS`, or ``"my_file.py:MyDataset"``.
      root: the folder of the data set; None for a generated one.
      options: further keyword arguments of the data set.

    Raises:
      ConfigError: the data set has no such option, an option has the wrong type, or the root is missing.
      TfvidError: there is no such data set, or its files are not as expected.
    """
    cls = DATASETS.find(name)
    parameters = inspect.signature(cls).parameters
    accepts_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in options:
        if key not in parameters and not accepts_any:
            raise ConfigError(f"dataset {name}: {unknown('option', key, [p for p in parameters if p != 'root'])}")
    if "root" in parameters and parameters["root"].default is inspect.Parameter.empty and root is None:
        given = "root=..., --root FOLDER or data.root=FOLDER"
        raise ConfigError(f"dataset {name!r} needs the folder that it lies in: {given}")
    if root is not None:
        options = {"root": os.fspath(root)} | options
    try:
        dataset = cls(**options)
    except TypeError as error:
        given = ", ".join(f"{key}={value!r}" for key, value in options.items() if key != "root")
        if name not in DATASETS or not given:  # an error in the class of a user, who needs the traceback
            raise
        raise ConfigError(f"dataset {name}: one of its options has the wrong type: {given} ({error})") from error
    if name not in DATASETS:
        dataset.origin = name  # a file, from which a decode process imports the class
    return dataset
