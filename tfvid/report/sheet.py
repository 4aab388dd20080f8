"""Contact sheets: the frames of a clip, of its heatmap and of the frozen clip as one figure, e.g. for a paper.

Each row is a panel and each column a frame. The strip of a mask is drawn below the rows it belongs to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tfvid.core.files import replacing
from tfvid.report.film import Panel
from tfvid.report.overlay import mask_strip, resize
from tfvid.report.style import LIGHT, Theme, fit, font

CELL = 136  # the longer side of a frame, in pixels
MARGIN, GAP, LINE, STRIP = 28, 6, 30, 36
DPI = 220  # at this resolution, sixteen frames span the width of a page


@dataclass(frozen=True)
class Block:
    """Rows of a sheet that belong together.

    Attributes:
      rows: the panels, one per row.
      mask: `(T,)` in [0, 1], drawn as a strip below the rows; None for none.
      note: a line above the rows; "" for none.
    """

    rows: tuple[Panel, ...]
    mask: np.ndarray | None = None
    note: str = ""


def draw_blocks(
    blocks: Sequence[Block],
    *,
    title: str = "",
    note: str = "",
    event: tuple[int, int] = (-1, -1),
    columns: int = 16,
    theme: Theme = LIGHT,
) -> Image.Image:
    """Draws a sheet of several blocks of rows.

    Args:
      blocks: blocks whose rows have the same size and length T.
      title: first line, e.g. the explained class and its score.
      note: second line, smaller.
      event: [start, stop) of the known event in frames; (-1, -1) if unknown.
      columns: maximum number of frames shown, evenly spaced over the clip; a strip always has all T.
      theme: colours.

    Returns:
      An RGB image.
    """
    length, height, width = blocks[0].rows[0].frames.shape[:3]
    shown = np.unique(np.round(np.linspace(0, length - 1, min(columns, length))).astype(int))
    scale = CELL / max(height, width)
    cell = (round(height * scale), round(width * scale))
    under = ["mask", "event"] if event[0] >= 0 else ["mask"]
    titles = [row.title for block in blocks for row in block.rows]
    left = MARGIN + round(max(font(18).getlength(text) for text in titles + under)) + 3 * GAP
    inner = len(shown) * (cell[1] + GAP) - GAP
    heading = (LINE if title else 0) + (LINE if note else 0) + (GAP if title or note else 0)
    top = MARGIN + heading + LINE
    heights = [_height(block, cell[0], _strip_height(event)) for block in blocks]
    between = 3 * GAP * (len(blocks) - 1)
    sheet = Image.new("RGB", (left + inner + MARGIN, top + sum(heights) + between + MARGIN), theme.background)
    draw = ImageDraw.Draw(sheet)

    y = MARGIN
    for text, typeface, ink in ((title, font(24, bold=True), theme.ink), (note, font(18), theme.quiet)):
        if text:
            draw.text((left, y + LINE / 2), fit(text, typeface, inner), ink, typeface, anchor="lm")
            y += LINE
    for column, frame in enumerate(shown):
        centre = left + column * (cell[1] + GAP) + cell[1] / 2
        draw.text((centre, top - GAP), str(frame + 1), theme.quiet, font(16), anchor="ms")
    for block, tall in zip(blocks, heights, strict=True):
        _draw_block(sheet, block, (left, top), shown, cell, event=event, theme=theme)
        top += tall + 3 * GAP
    return sheet


def _draw_block(sheet: Image.Image, block: Block, corner: tuple[int, int], shown, cell, *, event, theme: Theme):
    """Draws a block with its top left corner at `corner`: its note, its rows of frames in cells (H, W), its mask."""
    left, y = corner
    draw, inner = ImageDraw.Draw(sheet), len(shown) * (cell[1] + GAP) - GAP
    if block.note:
        draw.text((left, y + LINE / 2), fit(block.note, font(18), inner), theme.quiet, font(18), anchor="lm")
        y += LINE
    for row in block.rows:
        draw.text((left - 2 * GAP, y + cell[0] / 2), row.title, theme.ink, font(18), anchor="rm")
        for column, frame in enumerate(resize(row.frames[shown], cell)):
            sheet.paste(Image.fromarray(frame), (left + column * (cell[1] + GAP), y))
        y += cell[0] + GAP
    if block.mask is None:
        return
    y += GAP
    height = _strip_height(event)
    titles = (("mask", STRIP / 2, theme.ink), ("event", height - 6, theme.event))
    for text, down, ink in titles if event[0] >= 0 else titles[:1]:
        draw.text((left - 2 * GAP, y + down), text, ink, font(18), anchor="rm")
    # The strip is one gap wider than the frames, because every cell ends with a gap: cells then align with the frames.
    sheet.paste(mask_strip(block.mask, (height, inner + GAP), theme, event=event, gap=GAP), (left, y))


def _strip_height(event: tuple[int, int]) -> int:
    return STRIP + (STRIP // 2 if event[0] >= 0 else 0)


def _height(block: Block, row: int, strip: int) -> int:
    under = 0 if block.mask is None else GAP + strip
    return (LINE if block.note else 0) + len(block.rows) * (row + GAP) + under


def save_sheet(path, sheet: Image.Image) -> Path:
    """Writes a sheet as PNG; the file is written completely or not at all."""
    with replacing(path) as temporary:
        # Takes a third of the time of the default level 6; the file is an eighth larger.
        sheet.save(temporary, format="PNG", dpi=(DPI, DPI), compress_level=3)
    return Path(path)
