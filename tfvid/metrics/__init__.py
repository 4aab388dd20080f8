"""Numbers that say how good a classifier, a mask or a map is.

Measures of faithfulness are asked the same way, ``measure(model, clips, maps, target)``, and return one number a clip:
`METRICS` has them by name. Those that know the truth take ``(maps, boxes)`` or ``(maps, event)``: see `localization`.
"""

from tfvid.registry import Registry

METRICS = Registry("metric", {})


def __getattr__(name):
    if name in METRICS.parts:
        return METRICS.find(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *METRICS])
