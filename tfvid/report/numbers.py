"""Formats numbers for pages and documents."""

import math


def number(value: float | None, digits: int, tiny: str = "0") -> str:
    """Formats `value` with a fixed number of decimals and a typographic minus sign.

    Args:
      value: a number; None and NaN become "–".
      digits: number of decimals.
      tiny: the format of a non-zero number that rounds to zero: "0", as zero; "bound", as "< 0.001" if it is positive,
        for p-values; "exponent", as "1.5e-05".
    """
    if value is None or math.isnan(value):
        return "–"
    if 0 < abs(value) < 0.5 * 10**-digits:
        if tiny == "bound" and value > 0:
            return f"< {10**-digits:.{digits}f}"
        if tiny == "exponent":
            return f"{value:.1e}".replace("-", "−")
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def finite(value: float | None) -> float | None:
    """Converts `value` to a Python float; None for None, NaN and infinite values, which JSON cannot represent."""
    return float(value) if value is not None and math.isfinite(value) else None
