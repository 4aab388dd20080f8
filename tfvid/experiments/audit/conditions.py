"""Conditions such as ``top1 < 0.80``: a quantity of an audit, a comparison and a number. No text is run as code."""

import operator
import re
from dataclasses import dataclass

from tfvid.core.errors import ConfigError, unknown
from tfvid.experiments.audit.quantities import AGAINST_OLD, QUANTITIES

SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
PATTERN = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*", re.ASCII)


@dataclass(frozen=True)
class Condition:
    """A condition under which a check fails.

    Attributes:
      name: of the quantity.
      sign: a key of `SIGNS`.
      limit: the number.
    """

    name: str
    sign: str
    limit: float

    def __str__(self):
        return f"{self.name} {self.sign} {self.limit:g}"

    def is_met(self, value: float) -> bool:
        """Returns whether the quantity's value meets the condition, so that the check fails."""
        return SIGNS[self.sign](value, self.limit)


def parse(text: str) -> Condition:
    """Returns the condition that `text` states.

    Args:
      text: ``name < number``, with one of <, <=, >, >= and a name in `QUANTITIES` or `AGAINST_OLD`.

    Raises:
      ConfigError: another text, or an unknown name; one line with the nearest name.
    """
    match = PATTERN.fullmatch(text[:200])
    if match is None:
        raise ConfigError(f"expected a condition such as 'top1 < 0.80', with one of {' '.join(SIGNS)}, got {text!r}")
    name, sign, limit = match.groups()
    known = QUANTITIES | AGAINST_OLD
    if name not in known:
        raise ConfigError(f"condition {text!r}: {unknown('quantity', name, known)}")
    return Condition(name, sign, float(limit))
