"""How a result presents itself: a short ``repr``, pictures, and notebook cells.

The pictures are drawn by `tfvid.report`, which is above this package: the methods look its functions up by their public
names, `tfvid.show` and `tfvid.save`, when they are called.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

MOST = 6  # values of a vector, and fields, that `repr` prints
MAIN = ("target", "predicted", "score", "original_score", "attribution", "mask")  # printed if there are more fields


class Shown:
    """Base of results: dataclasses of NumPy arrays, one row per clip.

    Attributes:
      clips: the explained clips, as they were given to the explainer; None after `join`, or if the result was made in
        another way.
    """

    clips: Any = None

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if "__repr__" not in vars(cls):  # otherwise `dataclass` adds one that prints all arrays
            cls.__repr__ = Shown.__repr__

    def of(self, clips):
        """This result, which now keeps `clips`, `(B, T, H, W, C)`, for its pictures. The array is not copied."""
        object.__setattr__(self, "clips", clips)  # results are frozen
        return self

    def show(self, clips=None, *, class_names: Sequence[str] | None = None) -> None:
        """Shows the first 8 clips with their explanations: in the notebook's cell, or else in a matplotlib window.

        Args:
          clips: the explained clips; None: those that the result keeps.
          class_names: names by class index; None: "class 3".

        Raises:
          TfvidError: the clips are not known or do not fit.
        """
        import tfvid

        tfvid.show(self, clips, class_names=class_names)  # type: ignore[arg-type]

    def save(
        self,
        path,
        clips=None,
        *,
        class_names: Sequence[str] | None = None,
        indices: Sequence[int] | None = None,
        fps: float = 5.0,
    ) -> Path:
        """Writes a picture of the explanation; the suffix chooses the kind.

        Args:
          path: a film, ".gif", ".webp" or ".mp4"; a sheet of frames, ".png"; or a page, ".html".
          clips: the explained clips, float `(B, T, H, W, C)` or uint8; None: those that the result keeps.
          class_names: names by class index; None: "class 3".
          indices: the clips to draw; None: all.
          fps: frames per second of a film.

        Returns:
          The path.

        Raises:
          TfvidError: unknown suffix, or clips that are not known or do not fit.
        """
        import tfvid

        return tfvid.save(self, path, clips, class_names=class_names, indices=indices, fps=fps)  # type: ignore[arg-type]

    def _repr_html_(self) -> str:
        """What a notebook shows for a cell that ends in this result."""
        import tfvid

        return tfvid.report.explanation_picture.as_html(self)  # type: ignore[arg-type]

    def __repr__(self):
        names = [field.name for field in fields(self)]
        shown = names if len(names) <= MOST else [name for name in names if name in MAIN]
        parts = [f"{name}={_short(getattr(self, name, None))}" for name in shown]
        left_out = len(names) - len(shown)
        return f"{type(self).__name__}({', '.join(parts)}{f', and {left_out} more fields' if left_out else ''})"


def _short(value) -> str:
    """``[2, 0]`` for a vector, ``float32 (2, 16, 224, 224)`` for larger arrays."""
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.ndim != 1:
        return f"{value.dtype} {value.shape}"
    texts = [f"{item:.4g}" if isinstance(item, float) else str(item) for item in value[:MOST].tolist()]
    return f"[{', '.join([*texts, *(['...'] if len(value) > MOST else [])])}]"
