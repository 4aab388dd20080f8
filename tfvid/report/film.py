"""Films of an explanation: clip | the clip under each map | frozen clip, with the mask below, as GIF, WebP or MP4.

The layout follows the figures and the project page of Mänttäri et al., ACCV 2020.
"""

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from tfvid.core.errors import TfvidError, unknown
from tfvid.core.files import replacing
from tfvid.report.overlay import display_size, mask_strip, overlay, resize, to_uint8
from tfvid.report.style import DARK, Theme, fit, font

MARGIN, GAP, LINE, STRIP = 12, 8, 24, 34


@dataclass(frozen=True)
class Panel:
    """One column of a film or one row of a contact sheet.

    Attributes:
      title: one or two words.
      frames: uint8 `(T, H, W, 3)`.
    """

    title: str
    frames: np.ndarray


def titles(perturbation: str, methods: Iterable[str] = ("grad_cam",)) -> tuple[str, ...]:
    """Returns the titles of the columns: the clip, a map for each method, the perturbed clip.

    Args:
      perturbation: a name in `tfvid.perturb.PERTURBATIONS`, or that of a user's perturbation, ``my_file.py:name``.
      methods: the methods of the maps, names in `tfvid.explain.EXPLAINERS`, or a user's, ``my_file.py:Name``.
    """
    changed = {"freeze": "frozen", "reverse": "reversed", "blur": "blurred", "hold": "only the mask moves"}
    return "clip", *map(map_title, methods), changed.get(perturbation, perturbation.rpartition(":")[2])


def map_title(method: str) -> str:
    """Returns the title of the maps of a method: "Grad-CAM", "integrated gradients"."""
    return "Grad-CAM" if method == "grad_cam" else method.rpartition(":")[2].replace("_", " ")


def panels(
    clip: np.ndarray,
    heats: Mapping[str, np.ndarray],
    perturbed: np.ndarray,
    *,
    perturbation: str = "freeze",
    **options,
) -> tuple[Panel, ...]:
    """Returns the columns at display size: the clip, the clip under the map of each method, the perturbed clip.

    Args:
      clip: `(T, H, W, 3)`, uint8 or float in [0, 1].
      heats: `(T, h, w)` in [0, 1] by the name of the method.
      perturbed: the clip perturbed by its mask, in the same format as `clip`.
      perturbation: name of the perturbation.
      **options: keyword arguments of `overlay.overlay`.
    """
    clip, perturbed = to_uint8(clip), to_uint8(perturbed)
    size = display_size(clip.shape[1:3])
    clip, perturbed = resize(clip, size), resize(perturbed, size)
    # The overlay is drawn on the enlarged clip, so that the edges of the heatmap stay smooth.
    shown = clip, *(overlay(clip, heat, **options) for heat in heats.values()), perturbed
    return tuple(Panel(title, frames) for title, frames in zip(titles(perturbation, heats), shown, strict=True))


def compose(
    columns: tuple[Panel, ...],
    mask: np.ndarray | None,
    *,
    caption: str = "",
    note: str = "",
    event: tuple[int, int] = (-1, -1),
    theme: Theme = DARK,
) -> list[Image.Image]:
    """Draws the film's frames.

    Args:
      columns: the panels to show side by side, all of the same size and length T.
      mask: `(T,)` in [0, 1]; None: no strip is drawn.
      caption: first line, e.g. the explained class and its score.
      note: second line, smaller.
      event: [start, stop) of the known event in frames; (-1, -1) if unknown.
      theme: colours.

    Returns:
      T RGB images with an even width and height, which MP4 requires.

    Raises:
      TfvidError: the sizes or lengths of the columns and the mask differ.
    """
    length, height, width = columns[0].frames.shape[:3]
    _check_shapes(columns, mask)
    inner = len(columns) * width + (len(columns) - 1) * GAP
    tops = {}  # y of each part, from the top down
    y = MARGIN
    for part, extent in (("caption", LINE if caption else 0), ("note", LINE - 4 if note else 0), ("titles", LINE)):
        tops[part], y = y, y + extent
    tops["frames"], y = y, y + height + GAP
    tops["strip"], y = y, y + STRIP + MARGIN
    still = Image.new("RGB", (_even(inner + 2 * MARGIN), _even(y)), theme.background)
    draw = ImageDraw.Draw(still)
    for text, part, typeface, ink in (
        (caption, "caption", font(16, bold=True), theme.ink),
        (note, "note", font(13), theme.quiet),
    ):
        draw.text((MARGIN, tops[part] + LINE / 2 - 2), fit(text, typeface, inner), ink, typeface, anchor="lm")
    lefts = [MARGIN + index * (width + GAP) for index in range(len(columns))]
    for left, column in zip(lefts, columns, strict=True):
        title = fit(column.title, font(13), width)
        draw.text((left, tops["titles"] + LINE / 2 - 1), title, theme.quiet, font(13), anchor="lm")
    counter = round(font(13).getlength("000/000")) if length > 99 else round(font(13).getlength("00/00"))
    film = []
    for frame in range(length):
        image = still.copy()
        for left, column in zip(lefts, columns, strict=True):
            image.paste(Image.fromarray(column.frames[frame]), (left, tops["frames"]))
        if mask is not None:
            strip = mask_strip(mask, (STRIP, inner - counter - GAP), theme, current=frame, event=event)
            image.paste(strip, (MARGIN, tops["strip"]))
        place = (MARGIN + inner, tops["strip"] + STRIP / 2)
        ImageDraw.Draw(image).text(place, f"{frame + 1}/{length}", theme.quiet, font(13), anchor="rm")
        film.append(image)
    return film


def _check_shapes(columns: tuple[Panel, ...], mask: np.ndarray | None) -> None:
    shapes = [column.frames.shape for column in columns]
    if len(set(shapes)) > 1 or (mask is not None and len(mask) != shapes[0][0]):
        shape = None if mask is None else mask.shape
        raise TfvidError(f"expected columns of one shape and a mask of their length, got {shapes} and {shape}")


def _even(number: int) -> int:
    return number + number % 2


def save(path, film: list[Image.Image], fps: float = 5.0) -> Path:
    """Writes a film as ``.gif``, ``.webp`` or ``.mp4`` (MPEG-4 part 2, which not every browser plays).

    GIF and WebP films repeat endlessly. The file is written completely or not at all.

    Args:
      path: the file; its suffix selects the format. Missing folders are created.
      film: RGB images of the same size.
      fps: frames per second.

    Returns:
      The path.

    Raises:
      TfvidError: the suffix is unknown, there are no frames, `fps` is not positive, or OpenCV cannot write MP4.
      OSError: the film could not be written completely, e.g. because the disk is full.
    """
    path = Path(path)
    writers = {".gif": _save_gif, ".webp": _save_webp, ".mp4": _save_mp4}
    if path.suffix not in writers:
        raise TfvidError(f"{path}: " + unknown("film format", path.suffix, writers))
    if not film or fps <= 0:
        raise TfvidError(f"{path}: expected frames and a positive fps, got {len(film)} frames and fps {fps}")
    with replacing(path) as temporary:
        writers[path.suffix](temporary, film, fps)
    return path


def _save_gif(path: Path, film: list[Image.Image], fps: float):
    # One palette for the whole film, so that colours do not flicker between frames.
    sampled = film[:: max(1, len(film) // 8)]
    width, height = film[0].size
    montage = Image.new("RGB", (width, height * len(sampled)))
    for row, image in enumerate(sampled):
        montage.paste(image, (0, row * height))
    palette = montage.quantize(256, Image.Quantize.FASTOCTREE)  # keeps rare colours, such as those of the heatmap
    frames = [image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for image in film]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=round(1000 / fps), loop=0)


def _save_webp(path: Path, film: list[Image.Image], fps: float):
    film[0].save(path, save_all=True, append_images=film[1:], duration=round(1000 / fps), loop=0, quality=80)


def _save_mp4(path: Path, film: list[Image.Image], fps: float):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, film[0].size)
    if not writer.isOpened():
        raise TfvidError(f"{path}: OpenCV cannot write MP4 here")
    for image in film:
        writer.write(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR))
    writer.release()
    written = cv2.VideoCapture(str(path))  # OpenCV's writer does not report a full disk
    if sum(written.grab() for _ in film) != len(film):
        raise OSError(errno.ENOSPC, "OpenCV could not write all of the film, is the disk full?", str(path))
