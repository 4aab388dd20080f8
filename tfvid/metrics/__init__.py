"""Numbers that say how good a classifier, a mask or a map is.

Measures of attributions return one number a clip, and `METRICS` has them by name: those of faithfulness (`OF_MODEL`)
are asked ``measure(model, clips, maps, target)``, those that know the truth ``(maps, boxes)`` or ``(maps, event)``.
Every value is to be read beside those of `baselines.random_map` and `baselines.centre_prior`.
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
        "pointing_game": "tfvid.metrics.where:pointing_game",
        "energy_in_box": "tfvid.metrics.where:energy_in_box",
        "spatio_temporal_iou": "tfvid.metrics.where:spatio_temporal_iou",
        "temporal_pointing": "tfvid.metrics.when:temporal_pointing",
        "temporal_iou": "tfvid.metrics.when:temporal_iou",
        "average_precision": "tfvid.metrics.when:average_precision",
    },
)

# What a measure asks besides the maps: the model, boxes, or event windows.
OF_MODEL = ("insertion", "deletion", "average_drop", "increase", "infidelity", "max_sensitivity")
OF_BOXES = ("pointing_game", "energy_in_box", "spatio_temporal_iou")
OF_EVENTS = ("temporal_pointing", "temporal_iou", "average_precision")
# Smaller values of these are better; of all others, larger ones.
SMALLER_IS_BETTER = ("deletion", "average_drop", "infidelity", "max_sensitivity")


def __getattr__(name):
    if name in METRICS.parts:
        return METRICS.find(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *METRICS])
