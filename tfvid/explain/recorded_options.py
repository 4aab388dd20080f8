"""The options of the temporal mask and of Grad-CAM, for configurations, records and exported models."""

import inspect
import json
from collections.abc import Mapping

from tfvid.core.errors import ConfigError, unknown
from tfvid.explain.explainers import EXPLAINERS

# Options that records of earlier versions lack. They are left out at the value that those versions used.
IMPLIED: dict[str, object] = {"input_range": "auto", "call": "sum", "at": "output", "tokens": None}
IMPLIED |= {"objective": "necessary", "keep_share": 0.9}


def explainer_options(mask: Mapping, grad_cam: Mapping) -> dict:
    """Returns every option of `TemporalMask` and `GradCAM` that affects their results: the given ones and the defaults.

    Args:
      mask: options of `TemporalMask`, by keyword.
      grad_cam: options of `GradCAM`, by keyword.

    Returns:
      Values by ``"mask.<option>"`` and ``"grad_cam.<option>"``.

    Raises:
      ConfigError: an unknown option, an option that the mask's method does not use, or a value that is not plain JSON.
    """
    options = _options("mask", "temporal_mask", mask) | _options("grad_cam", "grad_cam", grad_cam)
    _check_used(mask, options["mask.method"])
    try:
        json.dumps(options)
    except TypeError:
        raise ConfigError(f"options of explainers must be plain values here, got {options}") from None
    return options


def _options(prefix: str, explainer: str, given: Mapping) -> dict:
    """Returns the options of one explainer, given by name, as ``"<prefix>.<option>"``."""
    parameters = inspect.signature(EXPLAINERS.find(explainer)).parameters
    defaults = {f"{prefix}.{key}": parameter.default for key, parameter in parameters.items() if key != "model"}
    given = {f"{prefix}.{key}": value for key, value in given.items()}
    for key in given:
        if key not in defaults:
            raise ConfigError(unknown("option", key, defaults))
    options = defaults | given
    del options[f"{prefix}.batch_size"]  # it does not change results
    for name, default in IMPLIED.items():
        if options.get(f"{prefix}.{name}", ...) == default:  # some options are those of one explainer only
            del options[f"{prefix}.{name}"]
    return options


def _check_used(mask: Mapping, method: str):
    """Refuses options of `TemporalMask` that its method ignores."""
    of_gradient = EXPLAINERS.find("temporal_mask").gradient_options
    unused = [key for key in of_gradient if key in mask] if method != "gradient" else []
    if unused:
        raise ConfigError(
            f"option mask.{unused[0]}: method {method!r} does not use it; add mask.method=gradient, or leave it out"
        )
