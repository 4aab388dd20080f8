"""Datasets by name, and the way from a video file to a batch of clips."""

from tfvid.registry import Registry

DATASETS = Registry(
    "dataset",
    {
        "shapes": "tfvid.data.shapes:MovingShapes",
        "something": "tfvid.data.something:SomethingSomething",
        "kth": "tfvid.data.kth:KTH",
        "folder": "tfvid.data.folder:ClassFolders",
        "csv": "tfvid.data.csv_list:CSVList",
    },
)
