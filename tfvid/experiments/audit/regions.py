"""When and where a model looks, by class, and which clips are typical and odd for their class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfvid.experiments.audit.explanations import Explained

FEWEST = 3  # explained clips of a class of which one is typical and one is odd
# The numbers of an explanation whose means are shown, with the names of these means.
NUMBERS = {
    "mask_length": "mask_length",
    "border": "border_energy",
    "fovea": "fovea_energy",
    "in_boxes": "box_energy",
    "same_when_shifted": "stability_shift",
    "same_with_noise": "stability_noise",
    "same_with_seed": "stability_seed",
}


@dataclass(frozen=True)
class Profile:
    """The explanations of the clips of one class.

    Attributes:
      label: the class.
      clips: the number of explained clips.
      necessary: the share of the clips for which a frame is necessary, float64 `(T,)`; untrusted masks are left out.
      sufficient: the share of the clips for which a frame is in the sufficient window, float64 `(T,)`.
      heat: the mean map over clips and time, with sum 1, float64 `(h, w)`.
      trusted: the number of clips whose mask is trusted.
      numbers: the mean of each of `NUMBERS`, by the name of the mean; None if no clip has the number.
      typical, odd: ids of the clips nearest to the mean of the class and farthest from it; "" for few clips.
    """

    label: int
    clips: int
    necessary: np.ndarray
    sufficient: np.ndarray
    heat: np.ndarray
    trusted: int
    numbers: dict[str, float | None]
    typical: str
    odd: str


def profiles(explained: Sequence[Explained]) -> list[Profile]:
    """Returns the profile of each class, in order.

    Args:
      explained: of the role "sample".
    """
    spread = _spread(explained)
    return [
        _profile([one for one in explained if one.label == label], spread)
        for label in sorted({one.label for one in explained})
    ]


def _profile(of_class: Sequence[Explained], spread: np.ndarray) -> Profile:
    trusted = [one.mask for one in of_class if one.trusted]
    nearest = by_distance(of_class, spread) if len(of_class) >= FEWEST else []
    return Profile(
        label=of_class[0].label,
        clips=len(of_class),
        necessary=np.mean(trusted, axis=0) if trusted else np.zeros(len(of_class[0].mask)),
        sufficient=np.mean([one.crop for one in of_class], axis=0),
        heat=np.mean([one.heat for one in of_class], axis=0),
        trusted=len(trusted),
        numbers={
            quantity: mean_known([getattr(one, name) for one in of_class if name != "mask_length" or one.trusted])
            for name, quantity in NUMBERS.items()
        },
        typical=nearest[0] if nearest else "",
        odd=nearest[-1] if nearest else "",
    )


def mean_known(values: Sequence[float]) -> float | None:
    """Returns the mean of the values that are not NaN; None if there are none."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None


def by_distance(of_class: Sequence[Explained], spread: np.ndarray) -> list[str]:
    """Returns the ids of the clips of a class, the nearest to its mean first.

    Args:
      of_class: its explanations.
      spread: the standard deviation of each of `features` over all clips; features without any do not count.
    """
    points = np.stack([features(one) for one in of_class])
    scaled = np.divide(points - points.mean(axis=0), spread, out=np.zeros_like(points), where=spread > 0)
    return [of_class[i].clip for i in np.argsort((scaled**2).sum(axis=1), kind="stable")]


def features(one: Explained) -> np.ndarray:
    """Returns what clips are compared by, float64 `(7,)`.

    Length and middle of the necessary frames, middle of the sufficient ones (shares of the clip), energy at the border
    and in the central quarter, and the centre of the heat (shares of height and width). What is not known is the value
    of a uniform map or of the whole clip.
    """
    y, x = centre(one.heat)
    length, mask, crop = float(np.mean(np.array(one.mask) > 0.5)), centre(one.mask)[0], centre(one.crop)[0]
    values = np.array([length, mask, crop, one.border, one.fovea, y, x], np.float64)
    return np.where(np.isfinite(values), values, [0, 0.5, 0.5, 7 / 16, 1 / 4, 0.5, 0.5])


def centre(weights) -> list[float]:
    """Returns the centre of mass along each axis, in [0, 1]; NaN for weights of sum 0."""
    weights = np.asarray(weights, np.float64)
    if not weights.sum() > 0:
        return [float("nan")] * weights.ndim
    places = np.indices(weights.shape).reshape(weights.ndim, -1) + 0.5
    return [
        float(row @ weights.ravel() / weights.sum() / side) for row, side in zip(places, weights.shape, strict=True)
    ]


def _spread(explained: Sequence[Explained]) -> np.ndarray:
    return np.stack([features(one) for one in explained]).std(axis=0) if explained else np.zeros(7)
