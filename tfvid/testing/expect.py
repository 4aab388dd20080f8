"""Expectations that raise AssertionError with one line: what was expected, and what came."""

from collections.abc import Callable, Mapping

import numpy as np

from tfvid.core.errors import TfvidError, error_line, one_line


def expect(condition: bool, name: str, expected: str, got) -> None:
    """Raises AssertionError ``name: expected ..., got ...`` unless `condition` holds."""
    if not condition:
        shown = one_line(got if isinstance(got, str) else repr(got))
        raise AssertionError(f"{name}: expected {expected}, got {shown if len(shown) <= 300 else shown[:300] + '…'}")


def expect_runs(name: str, expected: str, function: Callable, *arguments, **options):
    """Returns the result of a call; an exception of it becomes an AssertionError."""
    try:
        return function(*arguments, **options)
    except Exception as error:  # the checked code may raise anything
        raise AssertionError(f"{name}: expected {expected}, got {error_line(error)}") from error


def expect_refused(name: str, argument: str, function: Callable, *arguments, **options) -> None:
    """Raises AssertionError unless the call raises a TfvidError, which is what invalid arguments cause."""
    try:
        function(*arguments, **options)
    except TfvidError:
        return
    except Exception as error:
        raise AssertionError(f"{name}: expected a TfvidError for {argument}, got {error_line(error)}") from error
    raise AssertionError(f"{name}: expected a TfvidError for {argument}, got a result")


def expect_array(name: str, value, shape: tuple[int, ...], dtype) -> None:
    """Raises AssertionError unless `value` is a NumPy array of this shape and dtype."""
    got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    same = isinstance(value, np.ndarray) and value.shape == tuple(shape) and value.dtype == dtype
    expect(same, name, f"a NumPy array {np.dtype(dtype)} {tuple(shape)}", got)


def expect_equal(name: str, expected: str, first: Mapping, second: Mapping, atol: float) -> None:
    """Raises AssertionError unless the arrays of both mappings agree to `atol`; NaN equals NaN."""
    for key, value in first.items():
        other = second[key]
        if value.shape != other.shape or not np.allclose(value, other, rtol=1e-4, atol=atol, equal_nan=True):
            gap = (
                np.abs(np.subtract(value, other, dtype=float)).max() if value.shape == other.shape else "another shape"
            )
            raise AssertionError(f"{name}: expected {expected}; {key} differs by {gap}")
