"""The contract of measures of attribution."""

import inspect
from collections.abc import Callable

import numpy as np

from tfvid.metrics import METRICS
from tfvid.testing.expect import expect, expect_array, expect_equal, expect_refused, expect_runs
from tfvid.testing.small_model import SHAPE, small_clips, small_model


def check_metric(measure: str | Callable[..., np.ndarray], **options) -> None:
    """Checks that a function measures attribution maps as those in `tfvid.metrics` do.

    The names of its arguments tell what it needs: ``(model, clips, maps, target)``, ``(maps, boxes)`` or
    ``(maps, event)``; ``explain`` is the function from clips to maps that made the maps.

    * It returns float32 `(B,)`, one number per clip, without NaN, also for constant maps.
    * The result is the same in a second call, and for each clip alone.
    * Maps of another shape and maps with NaN are refused with a `TfvidError`.
    * The maps are unchanged.

    Args:
      measure: a function, or a name in `tfvid.metrics.METRICS`.
      **options: of the measure, e.g. few samples, to keep the check short.

    Raises:
      AssertionError: the first violation, in one line.
    """
    measure = METRICS.find(measure) if isinstance(measure, str) else measure
    name = getattr(measure, "__name__", type(measure).__name__)
    parameters = inspect.signature(measure).parameters
    given = {key: value for key, value in _arguments().items() if key in parameters}
    needed = [key for key in ("clips", "boxes", "event") if key in given]
    expect(
        "maps" in given and bool(needed),
        name,
        "(model, clips, maps, target), (maps, boxes) or (maps, event)",
        f"({', '.join(parameters)})",
    )
    maps = given["maps"]

    def run(**changed):
        return measure(**(given | changed), **options)

    result = expect_runs(name, "one number per clip", run)
    expect_array(name, result, (len(maps),), np.float32)
    for constant in (0, 1, -1):
        values = expect_runs(name, f"numbers for maps that are all {constant}", run, maps=np.full_like(maps, constant))
        expect(bool(np.isfinite(values).all()), name, f"finite numbers for maps that are all {constant}", values)
    expect(bool(np.isfinite(result).all()), name, "finite numbers", result)
    expect_equal(name, "the same numbers in a second call", {"value": result}, {"value": run()}, 1e-5)
    rows = {key: value[1:2] for key, value in given.items() if key in ("maps", "clips", "boxes", "event", "target")}
    alone = {"value": expect_runs(name, "a number for one clip", run, **rows)}
    expect_equal(name, "the same number for a clip alone as among others", {"value": result[1:2]}, alone, 1e-4)
    broken = maps.copy()
    broken[1, 0, 0, 0] = np.nan
    for argument, bad in {"maps with NaN": broken, "maps without a batch axis": maps[0]}.items():
        expect_refused(name, argument, run, maps=bad)
    expect(np.array_equal(maps, _arguments()["maps"]), name, "maps that stay unchanged", "changed maps")


def _arguments() -> dict:
    """Everything that a measure can ask for, of three clips; the same in every call."""
    clips = small_clips(3)
    boxes = np.tile(np.array([1, 2, 5, 6], np.float32), (3, SHAPE[0], 1, 1))
    event = np.array([[1, 3], [0, 6], [2, 5]], np.int32)
    return {
        "model": small_model(),
        "clips": clips,
        "maps": _mean(clips),
        "target": np.array([2, 0, 1]),
        "boxes": boxes,
        "event": event,
        "explain": _mean,
    }


def _mean(clips) -> np.ndarray:
    """An attribution that depends on its clips: the mean over the colours."""
    return np.asarray(clips).mean(axis=-1)
