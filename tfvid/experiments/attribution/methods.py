"""An explainer as a function from clips to maps, and the maps that do not use the network."""

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfvid.config import MethodConfig
from tfvid.core.errors import ConfigError, unknown
from tfvid.explain import EXPLAINERS
from tfvid.metrics.baselines import BASELINES


@dataclass(frozen=True)
class Maps:
    """The maps of a method for B clips.

    Attributes:
      attribution: float32 `(B, T, H, W)`.
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the network's top class.
      seconds: of all B clips together.
    """

    attribution: np.ndarray
    target: np.ndarray
    predicted: np.ndarray
    seconds: float


Method = Callable[..., Maps]  # (clips, target) to maps


def check_options(method: MethodConfig) -> None:
    """Checks the name and the options of a method before any work is done.

    Raises:
      TfvidError: an unknown method.
      ConfigError: an unknown option.
    """
    if method.row in BASELINES:
        raise ConfigError(f"methods: {method.row!r} is always there; give this row another label")
    parameters = inspect.signature(EXPLAINERS.find(method.name)).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return  # such a class checks them itself when it is built
    known = [name for name in parameters if name != "model"]
    for name in method.options:
        if name not in known:
            raise ConfigError(f"methods: {method.row}: {unknown('option', name, known)}")


def build(method: MethodConfig, model) -> Method:
    """A method for a network.

    Raises:
      ModelError: when built or first called, if the method does not support the network.
    """
    cls = EXPLAINERS.find(method.name)
    quiet = (
        {"progress": False} if "progress" in inspect.signature(cls).parameters else {}
    )  # the benchmark has its own bar
    explain = cls(model, **quiet | dict(method.options))

    def maps(clips, target=None) -> Maps:
        start = time.perf_counter()
        result = explain(clips, target)
        return Maps(as_map(result, clips.shape), result.target, result.predicted, time.perf_counter() - start)

    return maps


def baseline(name: str, target_of: Callable, seed: int) -> Method:
    """One of the maps that do not use the network.

    Args:
      name: one of `BASELINES`.
      target_of: returns the class that the map is evaluated for: clips to `(B,)`.
      seed: of the random map.
    """

    def maps(clips, target=None) -> Maps:
        predicted = target_of(clips)
        target = predicted if target is None else target
        start = time.perf_counter()
        drawn = BASELINES[name](np.asarray(clips), seed)
        return Maps(drawn, np.asarray(target), predicted, time.perf_counter() - start)

    return maps


def as_map(result, shape: tuple) -> np.ndarray:
    """Returns the map of a result, float32 `(B, T, H, W)`: its attribution, or its mask repeated over each frame.

    Args:
      result: an `tfvid.explain.base.Explanation` with an ``attribution`` or a ``mask``.
      shape: `(B, T, H, W, ...)` of the clips.

    Raises:
      ConfigError: the result has neither.
    """
    if hasattr(result, "attribution"):
        return np.asarray(result.attribution, np.float32)
    if hasattr(result, "mask"):
        return np.broadcast_to(result.mask[:, :, np.newaxis, np.newaxis], tuple(shape[:4])).astype(np.float32)
    raise ConfigError(f"methods: {type(result).__name__} has neither an attribution (B, T, H, W) nor a mask (B, T)")
