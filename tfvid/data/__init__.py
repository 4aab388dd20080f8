"""Datasets by name, and the way from a video file to a batch of clips."""

from tfvid.registry import Registry

DATASETS = Registry(
    "dataset",
    {
        "shapes": "tfvid.data.shapes:MovingShapes",
        "something": "tfvid.data.something:SomethingSomething",
        "kth": "tfvid.data.kth:KTH",
        "ucf101": "tfvid.data.ucf101:UCF101",
        "epic_kitchens": "tfvid.data.epic_kitchens:EpicKitchens",
        "folder": "tfvid.data.folder:ClassFolders",
        "csv": "tfvid.data.csv_list:CSVList",
    },
)
