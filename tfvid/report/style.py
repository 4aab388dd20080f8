"""The colours and the type that films, contact sheets and the page share."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import ImageFont

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Theme:
    """Colours of everything that is not a video frame, RGB."""

    background: Colour
    ink: Colour
    quiet: Colour  # titles and numbers that should not compete with the frames
    perturbed: Colour = (216, 58, 52)
    kept: Colour = (38, 152, 84)
    event: Colour = (62, 126, 214)


LIGHT = Theme(background=(255, 255, 255), ink=(24, 27, 33), quiet=(104, 110, 122))
DARK = Theme(background=(20, 22, 27), ink=(240, 242, 246), quiet=(158, 165, 178))


def blend(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with `share` (0 to 1) of `other` mixed in."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


@cache
def font(pixels: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which ships with matplotlib, so that text looks the same on every machine."""
    import matplotlib  # here, not above: it takes a while, and decode workers never draw

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, pixels)


def fit(text: str, typeface: ImageFont.FreeTypeFont, width: float) -> str:
    """`text` on one line, cut with an ellipsis where it is wider than `width` pixels."""
    text = " ".join(text.split())
    if typeface.getlength(text) <= width:
        return text
    while text and typeface.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
