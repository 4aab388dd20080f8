"""The colours and the font of films, contact sheets and pages."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import ImageFont

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Theme:
    """RGB colours of everything except the video frames."""

    background: Colour
    ink: Colour
    quiet: Colour  # titles and numbers that should not distract from the frames
    perturbed: Colour = (216, 58, 52)
    kept: Colour = (38, 152, 84)
    event: Colour = (62, 126, 214)


LIGHT = Theme(background=(255, 255, 255), ink=(24, 27, 33), quiet=(104, 110, 122))
DARK = Theme(background=(20, 22, 27), ink=(240, 242, 246), quiet=(158, 165, 178))


def blend(colour: Colour, other: Colour, share: float) -> Colour:
    """Returns the mixture of `colour` and a `share` (0 to 1) of `other`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


@cache
def font(pixels: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Returns DejaVu Sans from matplotlib, so that text looks the same on every machine."""
    import matplotlib  # imported here because it is slow, and decode workers do not need it

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, pixels)


def fit(text: str, typeface: ImageFont.FreeTypeFont, width: float) -> str:
    """Returns `text` on one line, shortened with an ellipsis if it is wider than `width` pixels."""
    text = " ".join(text.split())
    if typeface.getlength(text) <= width:
        return text
    while text and typeface.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
