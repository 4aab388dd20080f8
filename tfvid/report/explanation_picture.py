"""Pictures of an explainer's result: ``explanation.show()``, ``explanation.save("x.gif")``, and notebook cells.

A film or a sheet shows each clip, its heatmap, and the clip frozen by its mask; the strip of the mask lies below them.
"""

import base64
import html
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tfvid.core.errors import TfvidError, unknown
from tfvid.core.files import replacing
from tfvid.explain.base import Explanation
from tfvid.perturb.temporal import freeze, hold
from tfvid.report import film
from tfvid.report.film import Panel
from tfvid.report.overlay import display_size, overlay, resize, to_uint8
from tfvid.report.sheet import Block, draw_blocks, save_sheet
from tfvid.report.style import LIGHT

# Scores of results, by the field that holds them.
SCORES = {
    "score": "score",
    "original_score": "OS",
    "freeze_score": "FS",
    "reverse_score": "RS",
    "true_score": "CS",
    "kept_score": "KS",
}
LONG_NAMES = {
    "OS": "score of the clip (OS)",
    "FS": "score of the frozen clip (FS)",
    "RS": "score of the reversed clip (RS)",
    "CS": "score of the true class (CS)",
    "KS": "score of the clip in which only the mask moves (KS)",
}
FILMS, SHEET, PAGE = (".gif", ".webp", ".mp4"), ".png", ".html"
SHOWN = 8  # clips in a notebook cell and in a window
LONGEST = 16_000  # pixels: WebP pictures are at most 16383 high


def show(explanation: Explanation, clips=None, *, class_names: Sequence[str] | None = None) -> None:
    """Shows the first clips of an explanation: in the notebook's cell, or else in a window of matplotlib.

    Args:
      explanation: an explainer's result.
      clips: the explained clips, float `(B, T, H, W, C)` or uint8; None: those that the explanation keeps.
      class_names: names by class index; None: "class 3".

    Raises:
      TfvidError: the clips are not known or do not fit the explanation.
    """
    first = list(range(min(len(explanation), SHOWN)))
    if _in_notebook():
        from IPython.display import HTML, display

        display(HTML(as_html(explanation, clips, class_names=class_names)))
        return
    import matplotlib.pyplot as plt

    picture = sheet(explanation, clips, class_names=class_names, indices=first)
    figure = plt.figure(figsize=(picture.width / 100, picture.height / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(np.asarray(picture))
    axes.set_axis_off()
    plt.show()


def save(
    explanation: Explanation,
    path,
    clips=None,
    *,
    class_names: Sequence[str] | None = None,
    indices: Sequence[int] | None = None,
    fps: float = 5.0,
) -> Path:
    """Writes a picture of an explanation. The file appears complete or not at all.

    Args:
      explanation: an explainer's result.
      path: the suffix chooses the kind: ".gif", ".webp" and ".mp4" are films, all clips below one another; ".png" is a
        sheet of frames; ".html" is a page with one sheet and a table of scores per clip.
      clips: the explained clips, float `(B, T, H, W, C)` or uint8; None: those that the explanation keeps.
      class_names: names by class index; None: "class 3".
      indices: the clips to draw; None: all.
      fps: frames per second of a film.

    Returns:
      The path.

    Raises:
      TfvidError: unknown suffix; the clips are not known or do not fit the explanation; the picture is too high.
    """
    path, known = Path(path), {"class_names": class_names, "indices": indices}
    if path.suffix in FILMS:
        return film.save(path, frames(explanation, clips, **known), fps)
    if path.suffix == SHEET:
        return save_sheet(path, sheet(explanation, clips, **known))
    if path.suffix == PAGE:
        body = as_html(explanation, clips, limit=None, **known)
        with replacing(path) as temporary:
            temporary.write_text(f"<!doctype html><meta charset=utf-8><title>Explanation</title>{body}\n", "utf-8")
        return path
    raise TfvidError(f"{path}: {unknown('kind of picture', path.suffix, (*FILMS, SHEET, PAGE))}")


def frames(explanation: Explanation, clips=None, *, class_names=None, indices=None) -> list[Image.Image]:
    """The frames of a film: T RGB images, the clips below one another. Arguments as for `save`."""
    pictured = Pictured(explanation, clips, class_names)
    films = [
        film.compose(pictured.panels(i), pictured.mask(i), caption=pictured.caption(i), note=pictured.note(i))
        for i in pictured.chosen(indices)
    ]
    return [_stacked(list(images)) for images in zip(*films, strict=True)]


def sheet(explanation: Explanation, clips=None, *, class_names=None, indices=None) -> Image.Image:
    """A contact sheet: columns are frames, and each clip is a block of rows. Arguments as for `save`."""
    pictured = Pictured(explanation, clips, class_names)
    return _stacked([pictured.sheet(i) for i in pictured.chosen(indices)])


def as_html(explanation: Explanation, clips=None, *, class_names=None, indices=None, limit: int | None = SHOWN) -> str:
    """The explanation as HTML: per clip a film strip, the class and the scores. All text is escaped.

    Args:
      explanation: an explainer's result.
      clips: as for `save`; without clips there are no film strips.
      class_names: names by class index; None: "class 3".
      indices: the clips to show; None: all.
      limit: the number of clips shown; a line states how many were left out. None: no limit.
    """
    if clips is None and explanation.clips is None:
        return f"<pre>{html.escape(repr(explanation))}</pre>"
    pictured = Pictured(explanation, clips, class_names)
    chosen = pictured.chosen(indices)
    parts = [pictured.html(i) for i in chosen[:limit]]
    left_out = len(chosen) - len(parts)
    parts += [f"<p>clips not shown: {left_out}</p>"] if left_out else []
    return f'<div style="font-family:sans-serif">{"".join(parts)}</div>'


class Pictured:
    """An explanation together with its clips and class names.

    Args:
      explanation: an explainer's result.
      clips: float `(B, T, H, W, C)` or uint8; None: those that the explanation keeps.
      class_names: names by class index; None: "class 3".

    Raises:
      TfvidError: no clips, clips of another shape, or too few class names.
    """

    def __init__(self, explanation: Explanation, clips=None, class_names: Sequence[str] | None = None):
        clips = explanation.clips if clips is None else clips
        if clips is None:
            raise TfvidError(
                "clips: expected the explained clips, got None, and this explanation keeps none; pass them as `clips`"
            )
        self.clips, self.explanation, self.class_names = _displayed(clips), explanation, class_names
        self._maps, mask = getattr(explanation, "attribution", None), getattr(explanation, "mask", None)
        self._masks = mask if mask is not None and mask.ndim == 2 else None
        of_time = self._masks if self._maps is None else self._maps
        expected = (len(explanation),) if of_time is None else of_time.shape[:2]
        if self.clips.shape[: len(expected)] != expected:
            raise TfvidError(f"clips: expected {expected} clips and frames, got {self.clips.shape[:2]}")

    def chosen(self, indices: Sequence[int] | None) -> list[int]:
        """The valid `indices`; all for None."""
        count = len(self.explanation)
        chosen = list(range(count)) if indices is None else [int(index) for index in indices]
        if not chosen or not all(0 <= index < count for index in chosen):
            raise TfvidError(f"indices: expected one or more from 0 to {count - 1}, got {chosen}")
        return chosen

    def panels(self, i: int) -> tuple[Panel, ...]:
        """The clip, its heatmap and the frozen clip, as far as the explanation has them."""
        clip = to_uint8(self.clips[i])
        size = display_size(clip.shape[1:3])
        shown = [Panel("clip", resize(clip, size))]
        if self._maps is not None:
            strength = np.abs(self._maps[i])
            shown.append(Panel("attribution", overlay(shown[0].frames, strength / (strength.max() or 1))))
        if self._masks is not None and hasattr(self.explanation, "freeze_score"):
            is_kept = hasattr(self.explanation, "keeps") and self.explanation.keeps[i]
            perturb, title = (hold, "only the mask moves") if is_kept else (freeze, "frozen")
            perturbed = perturb(self.clips[i : i + 1], self._masks[i : i + 1])[0]
            shown.append(Panel(title, resize(to_uint8(np.asarray(perturbed)), size)))
        return tuple(shown)

    def mask(self, i: int) -> np.ndarray | None:
        """The temporal mask `(T,)`; None if the explanation has none."""
        return None if self._masks is None else self._masks[i]

    def scores(self, i: int) -> dict[str, float]:
        """The finite scores, by their short names."""
        values = {name: float(getattr(self.explanation, key)[i]) for key, name in SCORES.items() if self._has(key)}
        return {name: value for name, value in values.items() if np.isfinite(value)}

    def caption(self, i: int) -> str:
        """The explained class."""
        return self._class_name(self.explanation.target[i])

    def predicted(self, i: int) -> str:
        """The model's top class."""
        return self._class_name(self.explanation.predicted[i])

    def note(self, i: int) -> str:
        """The scores, and the predicted class if another one was explained."""
        parts = [f"{name} {value:.2f}" for name, value in self.scores(i).items()]
        target, predicted = self.explanation.target[i], self.explanation.predicted[i]
        return "  ·  ".join([*parts, *([] if target == predicted else [f"predicted: {self.predicted(i)}"])])

    def sheet(self, i: int, columns: int = 16) -> Image.Image:
        """The contact sheet of one clip."""
        block = Block(self.panels(i), self.mask(i))
        return draw_blocks([block], title=self.caption(i), note=self.note(i), columns=columns)

    def html(self, i: int) -> str:
        """The film strip of one clip and its table of scores."""
        strip = draw_blocks([Block(self.panels(i), self.mask(i))], columns=8)
        encoded = io.BytesIO()
        strip.save(encoded, format="WEBP", quality=80)
        data = base64.b64encode(encoded.getvalue()).decode()
        rows = {"explained class": self.caption(i), "predicted class": self.predicted(i)}
        rows |= {LONG_NAMES.get(name, name): f"{value:.3g}" for name, value in self.scores(i).items()}
        if layer := getattr(self.explanation, "layer_in_words", ""):
            rows["layer"] = layer
        cells = "".join(f"<tr><th>{html.escape(name)}<td>{html.escape(text)}" for name, text in rows.items())
        picture = f'<img alt="film strip of clip {i}" style="max-width:100%" src="data:image/webp;base64,{data}">'
        return f"<figure>{picture}<figcaption><table>{cells}</table></figcaption></figure>"

    def _has(self, field: str) -> bool:
        return getattr(getattr(self.explanation, field, None), "shape", None) == (len(self.explanation),)

    def _class_name(self, index: int) -> str:
        if self.class_names is None:
            return f"class {index}"
        if index >= len(self.class_names):
            raise TfvidError(f"class_names: expected {index + 1} names or more, got {len(self.class_names)}")
        return str(self.class_names[index])


def _displayed(clips) -> np.ndarray:
    """Clips as float32 `(B, T, H, W, 3)` in [0, 1]. The values of clips outside [0, 1] are stretched to it."""
    clips = np.asarray(clips)
    if clips.ndim != 5 or 0 in clips.shape:
        raise TfvidError(f"clips: expected shape (B, T, H, W, C), got {clips.shape}")
    clips = clips.astype(np.float32) / (255 if clips.dtype == np.uint8 else 1)
    low, high = float(clips.min()), float(clips.max())
    if low < 0 or high > 1:
        clips = (clips - low) / (high - low)
    return clips if clips.shape[-1] == 3 else np.repeat(clips.mean(-1, keepdims=True), 3, axis=-1)


def _stacked(images: list[Image.Image]) -> Image.Image:
    """Images below one another."""
    width, height = max(image.width for image in images), sum(image.height for image in images)
    if height > LONGEST:
        raise TfvidError(
            f"expected a picture at most {LONGEST} pixels high, got {height} for {len(images)} clips; choose some "
            "by `indices`, or write .html"
        )
    stacked, top = Image.new("RGB", (width, height), LIGHT.background), 0
    for image in images:
        stacked.paste(image, (0, top))
        top += image.height
    return stacked


def _in_notebook() -> bool:
    """Whether this process is the kernel of a Jupyter notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None
