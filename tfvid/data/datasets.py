"""The registry of data sets."""

from tfvid.core.registry import Registry

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
        "csv": "tfvid.data.sources.csv_list:CSVList",
    },
    group="tfvid.datasets",
)
