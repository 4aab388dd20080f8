"""Which methods apply to a model, and what each one costs.

A method is tried on one clip with few iterations, which finds out whether it applies. Its cost is then measured with
the default options, since these are what a user pays for.
"""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfvid.adapters.makes import adapted, classifier_of
from tfvid.core.errors import TfvidError, error_line
from tfvid.explain.explainers import EXPLAINERS, explainer
from tfvid.metrics.cost import cost
from tfvid.network.stated import input_shape

# Options with which a costly method takes a few passes. All other options, and all other methods, are as by default.
QUICK: dict[str, dict[str, Any]] = {
    "meaningful_perturbation": {"iterations": 3},
    "extremal_perturbation": {"iterations": 2, "areas": (0.1, 0.5), "num_levels": 3},
    "extremal_perturbation_3d": {"iterations": 2, "areas": (0.1, 0.5), "num_levels": 3},
    "step": {"iterations": 2, "core_after": 1, "areas": (0.1, 0.5), "num_levels": 3},
    "temporal_mask": {"iterations": 4},
    "smooth_grad": {"samples": 3},
    "smooth_grad_squared": {"samples": 3},
    "var_grad": {"samples": 3},
    "integrated_gradients": {"steps": 4},
    "expected_gradients": {"samples": 4},
    "blur_ig": {"steps": 4},
    "occlusion": {"unit": "frame"},
    "rise": {"masks": 8},
    "lime": {"samples": 20},
    "shapley": {"segments": (2, 2, 1)},
    "kernel_shap": {"segments": "frames", "samples": 20},
}
UNKNOWN_SIZE = (16, 64, 64, 3)  # the clip's (T, H, W, C) where the model takes any
TITLES = ("method", "applies", "forward", "backward", "seconds", "why not")


@dataclass(frozen=True)
class Method:
    """Whether one method applies to a model, and its cost.

    Attributes:
      name: its name in `EXPLAINERS`.
      reason: why it does not apply, one line; "" if it applies.
      forward_passes: how often the model runs to explain one clip with the default options; None if not measured.
      backward_passes: how often the gradient of its scores is computed for one clip; None if not measured.
      seconds: wall-clock time for one clip on this machine, without compilation; None if not measured.
    """

    name: str
    reason: str = ""
    forward_passes: float | None = None
    backward_passes: float | None = None
    seconds: float | None = None

    @property
    def applies(self) -> bool:
        """Whether the method explains the model."""
        return not self.reason

    def cells(self) -> tuple[str, ...]:
        """The texts below `TITLES`."""
        numbers = [
            "" if value is None else f"{value:.{digits}f}"
            for value, digits in ((self.forward_passes, 0), (self.backward_passes, 0), (self.seconds, 3))
        ]
        return (self.name, "yes" if self.applies else "no", *numbers, self.reason)


@dataclass(frozen=True)
class Methods(Sequence[Method]):
    """A table of methods: a sequence of `Method`, printed as text and shown as HTML in a notebook.

    Attributes:
      rows: a `Method` for each explainer, in the order of `EXPLAINERS`.
    """

    rows: tuple[Method, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]

    def __iter__(self) -> Iterator[Method]:
        return iter(self.rows)

    @property
    def applicable(self) -> list[str]:
        """The names of the methods that apply."""
        return [row.name for row in self.rows if row.applies]

    def __str__(self) -> str:
        lines = [TITLES, *(row.cells() for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)

    def _repr_html_(self) -> str:
        """Returns the table for a notebook."""
        head = "".join(f"<th>{title}</th>" for title in TITLES)
        rows = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row.cells()) for row in self.rows)
        return f"<table><tr>{head}</tr>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def methods(model, clips=None, *, measure: bool = True, names: Sequence[str] | None = None) -> Methods:
    """Returns which methods apply to a model, why the others do not, and what each costs for one clip.

    Each method is tried on one clip, with few iterations. A method that applies then explains the clip twice with its
    default options, and the second time is measured. On a large model this takes minutes; `measure` and `names` shorten
    it.

    Args:
      model: a Keras model, a `tfvid.VideoModel`, or a function of clips.
      clips: float `(B, T, H, W, C)` in [0, 1]; the first one is used. None: a clip of random pixels of the size that
        the model's input states. A clip of yours is needed for a function of clips.
      measure: whether to measure passes and seconds.
      names: of the methods to try, as in `tfvid.explainer`. None: all in `EXPLAINERS`.

    Returns:
      A `Methods` table.

    Raises:
      ModelError: no method can explain the model; the message says what to change.
      TfvidError: no clips for a function, clips that do not fit the model, or an unknown name.

    Example:
      >>> print(tfvid.methods(model))
      >>> tfvid.methods(model, measure=False).applicable
    """
    clip = random_clip(model) if clips is None else tf.convert_to_tensor(clips)[:1]
    classifier = classifier_of(model, any_callable=True)
    classifier.prepare(classifier.checked(clip))  # what no method takes is said once
    chosen = list(EXPLAINERS) if names is None else list(names)
    for name in chosen:
        EXPLAINERS.find(name)
    return Methods(tuple(_tried(name, model, clip, measure) for name in chosen))


def _tried(name: str, model, clip, measure: bool) -> Method:
    """The row of one method."""
    reason = why_not(name, model, clip)
    if reason or not measure:
        return Method(name, reason)
    found = cost(lambda counting: explainer(name, counting), model, clip)
    return Method(name, "", found.forward_passes, found.backward_passes, found.seconds)


def why_not(name: str, model, clip, options: Mapping[str, Any] | None = None) -> str:
    """Returns why a method does not apply to a model, one line; "" if it applies.

    Args:
      name: of the method.
      model: as for `methods`.
      clip: `(1, T, H, W, C)`, which the method explains with few iterations.
      options: of the method; they replace those with few iterations.
    """
    try:
        explainer(name, model, **{**QUICK.get(name, {}), **(options or {})})(clip)
    except TfvidError as error:
        return " ".join(str(error).split())
    except Exception as error:  # a model's own layers may raise anything, also in their gradients
        return f"fails: {error_line(error)}"
    return ""


def random_clip(model) -> np.ndarray:
    """Returns a clip of random pixels of the size that the model takes, float32 `(1, T, H, W, C)` in [0, 1].

    Raises:
      TfvidError: a function of clips, which states no size.
    """
    stated = input_shape(adapted(model))
    if stated is None or len(stated) != 5:
        raise TfvidError("clips: the model does not state the size of its clips; give one clip (1, T, H, W, C)")
    shape = tuple(size or default for size, default in zip(stated[1:], UNKNOWN_SIZE, strict=True))
    return np.random.default_rng(0).random((1, *shape), np.float32)
