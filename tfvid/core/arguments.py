"""Checks of numbers that a caller passes; they become plain ints."""

import operator

from tfvid.core.errors import ConfigError


def whole_number(value, name: str, least: int | None = 1) -> int:
    """Returns `value` as an int.

    Args:
      value: an int or a NumPy integer.
      name: the name of the argument, for the error message.
      least: the smallest value allowed; None for no limit.

    Raises:
      ConfigError: any other value; "num_frames must be a whole number, 1 or more, got 'many'".
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or (least is not None and number < least):
        words = "a whole number" if least is None else f"a whole number, {least} or more"
        raise ConfigError(f"{name} must be {words}, got {value!r}")
    return number


def frame_size(value, name: str = "size") -> tuple[int, int]:
    """Returns `value` as (height, width) in pixels.

    Args:
      value: two whole numbers of 1 or more: a tuple, a list or an array.
      name: the name of the argument, for the error message.

    Raises:
      ConfigError: any other value; "size must be (height, width), two whole numbers of 1 or more, got 8".
    """
    try:
        height, width = (whole_number(side, name) for side in ([] if isinstance(value, str) else value))
    except (TypeError, ValueError):  # no sequence, not two values, or a wrong value
        raise ConfigError(f"{name} must be (height, width), two whole numbers of 1 or more, got {value!r}") from None
    return height, width
