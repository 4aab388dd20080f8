"""The measures of attribution by name. Each returns one number for each clip.

There are three kinds of call, by what a measure needs besides the maps:

    OF_MODEL   measure(model, clips, maps, target)
    OF_BOXES   measure(maps, boxes)
    OF_EVENTS  measure(maps, event)
"""

from tfvid.core.registry import Registry

METRICS = Registry(
    "metric",
    {
        "insertion": "tfvid.metrics.faithfulness.insertion:insertion",
        "deletion": "tfvid.metrics.faithfulness.insertion:deletion",
        "average_drop": "tfvid.metrics.faithfulness.drop:average_drop",
        "increase": "tfvid.metrics.faithfulness.drop:increase",
        "infidelity": "tfvid.metrics.faithfulness.infidelity:infidelity",
        "max_sensitivity": "tfvid.metrics.faithfulness.sensitivity:max_sensitivity",
        "road": "tfvid.metrics.faithfulness.road:road",
        "pointing_game": "tfvid.metrics.where:pointing_game",
        "energy_in_box": "tfvid.metrics.where:energy_in_box",
        "spatio_temporal_iou": "tfvid.metrics.where:spatio_temporal_iou",
        "temporal_pointing": "tfvid.metrics.when:temporal_pointing",
        "temporal_iou": "tfvid.metrics.when:temporal_iou",
        "average_precision": "tfvid.metrics.when:average_precision",
    },
    group="tfvid.metrics",
)

# What a measure needs besides the maps: the model, boxes, or event windows.
OF_MODEL = ("insertion", "deletion", "average_drop", "increase", "infidelity", "max_sensitivity", "road")
OF_BOXES = ("pointing_game", "energy_in_box", "spatio_temporal_iou")
OF_EVENTS = ("temporal_pointing", "temporal_iou", "average_precision")
# Smaller values of these are better; of all others, larger ones.
SMALLER_IS_BETTER = ("deletion", "average_drop", "infidelity", "max_sensitivity", "road")
