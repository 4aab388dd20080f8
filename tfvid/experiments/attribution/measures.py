"""Calls every metric in the same way: each gets the arguments that its signature names.

Objective measures run the network: ``(model, clips, maps, target)``. Measures of the truth compare maps with
annotations: ``(maps, boxes)`` or ``(maps, event)``. Li et al. call these subjective, since people drew the boxes.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tfvid.config import MeasureConfig
from tfvid.core.errors import ConfigError, unknown
from tfvid.metrics import METRICS, SMALLER_IS_BETTER
from tfvid.metrics.localization import known_events
from tfvid.metrics.where import known_boxes

OBJECTIVE, TRUTH = "objective", "truth"
GIVEN = ("model", "clips", "maps", "target", "boxes", "event", "explain", "batch_size", "seed")


@dataclass(frozen=True, eq=False)
class Measure:
    """A metric with its options.

    Attributes:
      name: in tables.
      function: see `tfvid.metrics`.
      options: its further arguments.
      kind: `OBJECTIVE` or `TRUTH`.
      higher: whether more is better.
      needs: the annotation it uses: "boxes", "event", or "" for none.
      clips: it evaluates the first `clips` clips; None for all.
    """

    name: str
    function: Callable
    options: Mapping
    kind: str
    higher: bool
    needs: str
    clips: int | None

    def __call__(self, **given) -> np.ndarray:
        """Evaluates B clips: float64 `(B,)`, NaN for clips without annotation; `given` has the arguments in `GIVEN`."""
        asked = [name for name in inspect.signature(self.function).parameters if name in given]
        known = self._known(given)
        values = np.full(len(known), np.nan)
        if known.any():
            chosen = {name: given[name] for name in asked} | dict(self.options)
            values[known] = np.asarray(self.function(**chosen), np.float64)[known]
        return values

    def to_dict(self) -> dict:
        """The entry of ``report.json``."""
        names = ("name", "kind", "higher", "clips")
        return {name: getattr(self, name) for name in names} | {"options": dict(self.options)}

    def _known(self, given) -> np.ndarray:
        if self.needs == "event":
            return known_events(given["event"])
        if self.needs == "boxes":
            return known_boxes(given["boxes"], given["maps"].shape)
        return np.ones(len(given["maps"]), bool)


def find_measures(configs: Iterable[MeasureConfig], max_boxes: int) -> list[Measure]:
    """The configured measures, without those of boxes if the dataset has no boxes.

    Raises:
      TfvidError: no such measure.
      ConfigError: an unknown option, or no measure is left.
    """
    measures = [measure for measure in map(_measure, configs) if max_boxes or measure.needs != "boxes"]
    if not measures:
        raise ConfigError("measures: all of them ask for boxes, and this dataset has none")
    return measures


def _measure(config: MeasureConfig) -> Measure:
    function = METRICS.find(config.name)
    parameters = inspect.signature(function).parameters
    own = [name for name in parameters if name not in GIVEN]
    for name in config.options:
        if name not in own:
            raise ConfigError(f"measures: {config.name}: {unknown('option', name, own)}")
    needs = next((name for name in ("boxes", "event") if name in parameters), "")
    return Measure(
        name=config.name.rpartition(":")[2],
        function=function,
        options=config.options,
        kind=TRUTH if needs else OBJECTIVE,
        higher=config.name not in SMALLER_IS_BETTER,
        needs=needs,
        clips=config.limit,
    )
