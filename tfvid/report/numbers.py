"""How numbers are written on pages and in documents."""

import math


def number(value: float | None, digits: int, tiny: str = "0") -> str:
    """`value` as text, with a real minus sign.

    Args:
      value: a number; None or NaN is written as "–".
      digits: decimals.
      tiny: how a number that rounds to zero but is not zero is written: "0", as zero; "bound", as "< 0.001" where it
        is positive, for p-values; "exponent", as "1.5e-05".
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
    """`value` as a Python float; None for None, NaN and infinite values, which JSON cannot hold."""
    return float(value) if value is not None and math.isfinite(value) else None
